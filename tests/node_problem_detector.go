// Sorts messages as node-problem-detector's system log monitor does, by Go's own JSON and regular expressions: for each line on
// standard input it prints the reason of the rule that matches, or "-". It complains of a configuration with a key, type or
// reference that the monitor does not have.
//
// The keys are those of MonitorConfig, WatcherConfig, Condition and Rule in node-problem-detector's pkg/systemlogmonitor and
// pkg/types. A pattern has to match up to the end of the buffered messages (CompilePattern), here of one.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"regexp"
	"strings"
	"time"
)

type config struct {
	Plugin           string            `json:"plugin"`
	PluginConfig     map[string]string `json:"pluginConfig"`
	SkipList         []string          `json:"skipList"`
	LogPath          string            `json:"logPath"`
	Lookback         string            `json:"lookback"`
	Delay            string            `json:"delay"`
	BufferSize       int               `json:"bufferSize"`
	Source           string            `json:"source"`
	MetricsReporting *bool             `json:"metricsReporting"`
	Conditions       []struct {
		Type    string `json:"type"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"conditions"`
	Rules []struct {
		Type      string `json:"type"`
		Condition string `json:"condition"`
		Reason    string `json:"reason"`
		Pattern   string `json:"pattern"`
	} `json:"rules"`
}

func main() {
	log.SetFlags(0)
	file, err := os.Open(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	decoder := json.NewDecoder(file)
	decoder.DisallowUnknownFields()
	var c config
	if err := decoder.Decode(&c); err != nil {
		log.Fatal(err)
	}
	if c.Plugin != "journald" || c.PluginConfig["source"] == "" || c.Source == "" || c.BufferSize != 1 {
		log.Fatal("not a monitor of one identifier in the journal, a message at a time")
	}
	if _, err := time.ParseDuration(c.Lookback); err != nil {
		log.Fatal(err)
	}
	// Kubernetes takes such words only for the type of a condition and for reasons.
	word := regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	conditions := map[string]bool{}
	for _, condition := range c.Conditions {
		conditions[condition.Type] = true
		if !word.MatchString(condition.Type) || !word.MatchString(condition.Reason) || condition.Message == "" {
			log.Fatalf("condition %+v", condition)
		}
	}
	patterns := make([]*regexp.Regexp, len(c.Rules))
	for n, rule := range c.Rules {
		patterns[n] = regexp.MustCompile(rule.Pattern + `\z`)
		isPermanent := rule.Type == "permanent" && conditions[rule.Condition]
		isTemporary := rule.Type == "temporary" && rule.Condition == ""
		if !(isPermanent || isTemporary) || !word.MatchString(rule.Reason) {
			log.Fatalf("rule %+v", rule)
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var reasons []string
		for n, rule := range c.Rules {
			if patterns[n].MatchString(lines.Text()) {
				reasons = append(reasons, rule.Reason)
			}
		}
		if reasons == nil {
			reasons = []string{"-"}
		}
		fmt.Println(strings.Join(reasons, ","))
	}
}
