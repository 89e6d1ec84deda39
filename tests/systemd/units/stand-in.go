// A stand-in for kubelet. It reads the words and the environment that systemd gave it, and the files which these name, and
// meets kubelet's fate: it dies of the six kernel tunables, sets them and runs on, or fails by itself before it looks.
// It knows the words and files of the shapes beside it and no others; what it says is what kubelet says there.
package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

var tunables = map[string]int{
	"vm/overcommit_memory":      1,
	"vm/panic_on_oom":           0,
	"kernel/panic":              10,
	"kernel/panic_on_oops":      1,
	"kernel/keys/root_maxkeys":  1000000,
	"kernel/keys/root_maxbytes": 25000000,
}

// Flags that take the next word where none stands behind a `=`.
var withValue = regexp.MustCompile(`^--(config|config-dir|kubeconfig|bootstrap-kubeconfig|node-labels|node-ip|` +
	`hostname-override|container-runtime|container-runtime-endpoint|cert-dir|root-dir|register-with-taints|` +
	`pod-manifest-path|v)$`)
var flagWithValue = regexp.MustCompile(`^--[a-z-]+=`)

// Once as YAML and once as JSON; of several the last counts.
var key = regexp.MustCompile(`(?m)(?:^|[{,]\s*)"?protectKernelDefaults"?:\s*(true|false)\b`)

func fail(text string, values ...any) {
	fmt.Fprintf(os.Stderr, "F1126 "+text+"\n", values...)
	os.Exit(1)
}

// protection is what a configuration file says, if it says anything.
func protection(path string, sofar bool) bool {
	content, err := os.ReadFile(path)
	if err != nil {
		fail("failed to load Kubelet config file %s, error failed to read kubelet config file: %v", path, err)
	}
	if !strings.Contains(string(content), "KubeletConfiguration") {
		fail("failed to load Kubelet config file %s: Object 'Kind' is missing", path)
	}
	for _, found := range key.FindAllSubmatch(content, -1) {
		sofar = string(found[1]) == "true"
	}
	return sofar
}

func main() {
	fmt.Printf("I1126 kubelet of the suite: %q\n", os.Args)
	var flag *bool
	config, folder := "", ""
	words := os.Args[1:]
	if filepath.Base(os.Args[0]) == "hyperkube" {
		if len(words) == 0 || words[0] != "kubelet" {
			fail("hyperkube: no kubelet")
		}
		words = words[1:]
	}
	for ; len(words) > 0; words = words[1:] {
		name, value, has := strings.Cut(words[0], "=")
		switch {
		case name == "--protect-kernel-defaults":
			on := true
			if has {
				var err error
				if on, err = strconv.ParseBool(value); err != nil {
					fail("invalid argument %q for %q flag: %v", value, name, err)
				}
			}
			flag = &on
		case withValue.MatchString(words[0]):
			if len(words) < 2 {
				fail("flag needs an argument: %s", name)
			}
			words = words[1:]
			value = words[0]
		case flagWithValue.MatchString(words[0]):
		default:
			fail("unknown command: %s", words[0])
		}
		switch name {
		case "--config":
			config = value
		case "--config-dir":
			folder = value
		}
	}

	protects := false
	if config != "" {
		protects = protection(config, protects)
	}
	if folder != "" {
		drops, _ := filepath.Glob(folder + "/*.conf")
		sort.Strings(drops)
		for _, drop := range drops {
			protects = protection(drop, protects)
		}
	}
	if flag != nil {
		protects = *flag
	}

	// A kubelet tells systemd that it is ready before it looks at the tunables.
	if path := os.Getenv("NOTIFY_SOCKET"); path != "" {
		if socket, err := net.Dial("unixgram", path); err == nil {
			fmt.Fprint(socket, "READY=1")
		}
	}

	var wrong []string
	for name, wanted := range tunables {
		path := "/proc/sys/" + name
		content, err := os.ReadFile(path)
		value := 0
		if err == nil {
			value, err = strconv.Atoi(strings.Trim(string(content), " \n"))
		}
		switch {
		case err != nil:
			wrong = append(wrong, err.Error())
		case value == wanted:
		case protects:
			wrong = append(wrong, fmt.Sprintf("invalid kernel flag: %s, expected value: %d, actual value: %d", name, wanted, value))
		default:
			if err := os.WriteFile(path, []byte(strconv.Itoa(wanted)), 0o640); err != nil {
				wrong = append(wrong, err.Error())
			}
		}
	}
	if len(wrong) > 0 {
		fail("Failed to start ContainerManager [%s]", strings.Join(wrong, ", "))
	}
	fmt.Println("I1126 Starting Kubelet Plugin Manager")
	time.Sleep(time.Hour)
}
