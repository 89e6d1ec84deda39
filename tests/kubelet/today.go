// Says what kubelet of today makes of its configuration: protectKernelDefaults, and the feature gate KubeletInUserNamespace.
// A line of the input is a working directory and the words of a command line, each in hexadecimal and behind a blank. The
// flags are --config, --config-dir, --protect-kernel-defaults and --feature-gates; the files are those of this machine.
// The answer is "on" or "off", then the gate up to 1.36 and from 1.37 on ("true" or "false"); or "fails" and why.
//
// It is built from the libraries that kubelet reads its files with. The order of the steps is that of NewKubeletCommand,
// mergeKubeletConfigurations and kubeletConfigFlagPrecedence in cmd/kubelet/app/server.go of 1.36, and of its packages
// kubeletconfig/configfiles and kubeletconfig/util/codec. Whether kubelet can live with the other values is not asked.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	jsonpatch "github.com/evanphx/json-patch"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/component-base/featuregate"
	kubelet "k8s.io/kubelet/config/v1beta1"
)

var strict, lenient runtime.Decoder

func init() {
	scheme := runtime.NewScheme()
	if err := kubelet.AddToScheme(scheme); err != nil {
		panic(err)
	}
	strict = serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	lenient = serializer.NewCodecFactory(scheme, serializer.DisableStrict).UniversalDeserializer()
}

func content(name string) ([]byte, error) {
	path, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if err == nil && len(data) == 0 {
		err = fmt.Errorf("%s is empty", path)
	}
	return data, err
}

// load reads the file of --config.
func load(name string) (*kubelet.KubeletConfiguration, error) {
	data, err := content(name)
	if err != nil {
		return nil, err
	}
	object, _, err := strict.Decode(data, nil, nil)
	if runtime.IsStrictDecodingError(err) {
		object, _, err = lenient.Decode(data, nil, nil)
	}
	if err != nil {
		return nil, err
	}
	config, ok := object.(*kubelet.KubeletConfiguration)
	if !ok {
		return nil, fmt.Errorf("it is a %T", object)
	}
	return config, nil
}

// merge puts the files of --config-dir over the configuration.
func merge(config *kubelet.KubeletConfiguration, folder string) (*kubelet.KubeletConfiguration, error) {
	merged, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(entry.Name()) != ".conf" {
			return err
		}
		data, err := content(path)
		if err != nil {
			return err
		}
		object, kind, err := strict.Decode(data, nil, &unstructured.Unstructured{})
		if err != nil {
			return err
		}
		if kind == nil || *kind != kubelet.SchemeGroupVersion.WithKind("KubeletConfiguration") {
			return fmt.Errorf("%s is a %v", path, kind)
		}
		patch, err := json.Marshal(object.(*unstructured.Unstructured).Object)
		if err != nil {
			return err
		}
		merged, err = jsonpatch.MergePatch(merged, patch)
		return err
	})
	if err != nil {
		return nil, err
	}
	result := &kubelet.KubeletConfiguration{}
	return result, json.Unmarshal(merged, result)
}

func parse(words []string, config *kubelet.KubeletConfiguration) (file, folder string, err error) {
	flags := pflag.NewFlagSet("kubelet", pflag.ContinueOnError)
	flags.SetNormalizeFunc(cliflag.WordSepNormalizeFunc)
	flags.StringVar(&file, "config", "", "")
	flags.StringVar(&folder, "config-dir", "", "")
	flags.BoolVar(&config.ProtectKernelDefaults, "protect-kernel-defaults", config.ProtectKernelDefaults, "")
	flags.Var(cliflag.NewMapStringBool(&config.FeatureGates), "feature-gates", "")
	if err = flags.Parse(words); err == nil && flags.NArg() > 0 {
		err = errors.New("unknown command")
	}
	return
}

// gates are those of kubelet up to 1.36 and of 1.37, as far as it matters here.
func gates() []featuregate.MutableFeatureGate {
	var all []featuregate.MutableFeatureGate
	for _, spec := range []featuregate.FeatureSpec{
		{Default: false, PreRelease: featuregate.Alpha},
		{Default: true, PreRelease: featuregate.Beta},
	} {
		gate := featuregate.NewFeatureGate()
		if err := gate.Add(map[featuregate.Feature]featuregate.FeatureSpec{
			"KubeletInUserNamespace": spec,
			"OfAnotherVersion":       {PreRelease: featuregate.Beta},
		}); err != nil {
			panic(err)
		}
		all = append(all, gate)
	}
	return all
}

func answer(words []string) (string, error) {
	if err := os.Chdir(words[0]); err != nil {
		panic(err)
	}
	words = words[1:]
	all := gates()
	set := func(config *kubelet.KubeletConfiguration) error {
		for _, gate := range all {
			if err := gate.SetFromMap(config.FeatureGates); err != nil {
				return err
			}
		}
		return nil
	}
	config := &kubelet.KubeletConfiguration{}
	file, folder, err := parse(words, config)
	if err == nil {
		err = set(config)
	}
	if err == nil && file != "" {
		config, err = load(file)
	}
	if err == nil && folder != "" {
		config, err = merge(config, folder)
	}
	if err == nil && (file != "" || folder != "") {
		original := config.FeatureGates
		_, _, err = parse(words, config)
		for name, on := range original {
			if _, ok := config.FeatureGates[name]; !ok {
				config.FeatureGates[name] = on
			}
		}
	}
	if err == nil {
		err = set(config)
	}
	if err != nil {
		return "", err
	}
	state := "off"
	if config.ProtectKernelDefaults {
		state = "on"
	}
	for _, gate := range all {
		state += fmt.Sprintf(" %v", gate.Enabled("KubeletInUserNamespace"))
	}
	return state, nil
}

func main() {
	answers := os.Stdout
	// What the libraries print is not wanted.
	os.Stdout, os.Stderr = nil, nil
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		var words []string
		for _, word := range strings.Split(strings.TrimSuffix(line, "\n"), " ") {
			text, err := hex.DecodeString(word)
			if err != nil {
				panic(err)
			}
			words = append(words, string(text))
		}
		state, err := answer(words)
		if err != nil {
			state = "fails " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Fprintln(answers, state)
	}
}
