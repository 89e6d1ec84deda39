// Says what protectKernelDefaults comes to in kubelet. A line of the input is the content of a file /config and the words of
// a command line, each in hexadecimal and behind a blank; the answer is "on", "off", or "fails" and why.
// It is built in kubelet's source tree, of kubelet's own packages. What it does with them is the beginning of
// NewKubeletCommand and kubeletConfigFlagPrecedence in cmd/kubelet/app/server.go of 1.20.2; whether kubelet can live with the
// other values is not asked.
// With the argument "flags" it prints kubelet's flags first, each with its type.
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"io/ioutil"
	"os"
	"strings"

	"github.com/spf13/pflag"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/kubeletconfig/configfiles"
	"k8s.io/kubernetes/pkg/util/filesystem"
)

// one is a file system of one file.
type one struct {
	filesystem.DefaultFs
	content []byte
}

func (fs one) ReadFile(name string) ([]byte, error) {
	if name != "/config" {
		return nil, os.ErrNotExist
	}
	return fs.content, nil
}

func cleanFlagSet(flags *options.KubeletFlags, config *kubeletconfig.KubeletConfiguration) *pflag.FlagSet {
	set := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	set.SetOutput(ioutil.Discard)
	set.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	flags.AddFlags(set)
	options.AddKubeletConfigFlags(set, config)
	options.AddGlobalFlags(set)
	set.BoolP("help", "h", false, "")
	return set
}

func againFlagSet(config *kubeletconfig.KubeletConfiguration) *pflag.FlagSet {
	global := pflag.NewFlagSet("", pflag.ContinueOnError)
	global.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	options.AddGlobalFlags(global)
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	set.SetOutput(ioutil.Discard)
	set.SetNormalizeFunc(global.GetNormalizeFunc())
	global.VisitAll(func(flag *pflag.Flag) {
		set.VarP(cliflag.NoOp{}, flag.Name, flag.Shorthand, flag.Usage)
	})
	options.NewKubeletFlags().AddFlags(set)
	options.AddKubeletConfigFlags(set, config)
	return set
}

func protects(args []string, content []byte) (bool, error) {
	flags := options.NewKubeletFlags()
	config, err := options.NewKubeletConfiguration()
	if err != nil {
		return false, err
	}
	set := cleanFlagSet(flags, config)
	if err := set.Parse(args); err != nil {
		return false, err
	}
	if words := set.Args(); len(words) > 0 {
		return false, fmt.Errorf("unknown command: %s", words[0])
	}
	if help, _ := set.GetBool("help"); help {
		return false, fmt.Errorf("it prints its help")
	}
	version := set.Lookup("version")
	printed := version.Value.String()
	version.Value.Set("false") // It is one for all.
	if printed != "false" {
		return false, fmt.Errorf("it prints its version")
	}
	if err := options.ValidateKubeletFlags(flags); err != nil {
		return false, err
	}
	if len(flags.KubeletConfigFile) > 0 {
		loader, err := configfiles.NewFsLoader(one{content: content}, "/"+strings.TrimPrefix(flags.KubeletConfigFile, "/"))
		if err != nil {
			return false, err
		}
		if config, err = loader.Load(); err != nil {
			return false, err
		}
		if err := againFlagSet(config).Parse(args); err != nil {
			return false, err
		}
	}
	return config.ProtectKernelDefaults, nil
}

func main() {
	answers := bufio.NewWriter(os.Stdout)
	// What the parsers print is not wanted.
	os.Stdout, os.Stderr = nil, nil
	if len(os.Args) > 1 && os.Args[1] == "flags" {
		config, _ := options.NewKubeletConfiguration()
		cleanFlagSet(options.NewKubeletFlags(), config).VisitAll(func(flag *pflag.Flag) {
			fmt.Fprintln(answers, flag.Name, flag.Value.Type())
		})
	}
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		var words []string
		for _, word := range strings.Split(strings.TrimSuffix(line, "\n"), " ") {
			text, err := hex.DecodeString(word)
			if err != nil {
				panic(err)
			}
			words = append(words, string(text))
		}
		switch protects, err := protects(words[1:], []byte(words[0])); {
		case err != nil:
			fmt.Fprintln(answers, "fails", strings.Replace(err.Error(), "\n", " ", -1))
		case protects:
			fmt.Fprintln(answers, "on")
		default:
			fmt.Fprintln(answers, "off")
		}
	}
	answers.Flush()
}
