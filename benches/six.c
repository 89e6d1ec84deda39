/* The floor of what any such program costs: the bare six reads, nothing compared and nothing said. */
#include <fcntl.h>
#include <unistd.h>

int main(void) {
    static const char *const paths[] = {
        "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/panic_on_oom",         "/proc/sys/kernel/panic",
        "/proc/sys/kernel/panic_on_oops", "/proc/sys/kernel/keys/root_maxkeys", "/proc/sys/kernel/keys/root_maxbytes",
    };
    char buffer[64];
    for (int row = 0; row < 6; row++) {
        int file = open(paths[row], O_RDONLY);
        if (file < 0 || read(file, buffer, sizeof buffer) < 1)
            return 1;
        close(file);
    }
    return 0;
}
