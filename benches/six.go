// The same check in Go, without its reasons: exits 78 when one of the six differs.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

func main() {
	code := 0
	for _, tunable := range []struct {
		path     string
		expected int
	}{
		{"vm/overcommit_memory", 1},
		{"vm/panic_on_oom", 0},
		{"kernel/panic", 10},
		{"kernel/panic_on_oops", 1},
		{"kernel/keys/root_maxkeys", 1000000},
		{"kernel/keys/root_maxbytes", 25000000},
	} {
		content, err := os.ReadFile("/proc/sys/" + tunable.path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(74)
		}
		actual, err := strconv.Atoi(strings.Trim(string(content), " \n"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(74)
		}
		if actual != tunable.expected {
			fmt.Fprintf(os.Stderr, "%s is %d, kubelet needs %d\n", tunable.path, actual, tunable.expected)
			code = 78
		}
	}
	os.Exit(code)
}
