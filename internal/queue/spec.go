package queue

import (
	"strings"
	"unicode/utf8"

	"stint.dev/stint/job"
)

// checkSpec refuses what no process can be started with.
func checkSpec(c *job.Spec) error {
	for what, words := range map[string][]string{
		"command": c.Args, "install step": c.Install, "cached file": c.CacheFiles, "cached directory": c.CacheDirs, "directory": {c.Dir}, "zone": {c.Zone},
	} {
		for _, word := range words {
			if err := checkText(what, word); err != nil {
				return err
			}
		}
	}
	for name, value := range c.Env {
		if name == "" || strings.Contains(name, "=") {
			return invalid("variable", name, "is not a name")
		}
		if err := checkText("variable", name); err != nil {
			return err
		}
		if err := checkText("value of variable "+name, value); err != nil {
			return err
		}
	}
	for what, n := range map[string]int64{
		"timeout_ms": c.TimeoutMS, "install_timeout_ms": c.InstallMS, "no_output_timeout_ms": c.NoOutputMS, "memory_bytes": c.MemoryBytes,
	} {
		if n < 0 {
			return invalid(what, "", "is less than 0")
		}
	}
	if c.CPUs < 0 || c.CPUs != c.CPUs {
		return invalid("cpus", "", "is less than 0")
	}
	return checkLabels("label", c.Labels)
}

func checkText(what, text string) error {
	switch {
	case strings.ContainsRune(text, 0):
		return invalid(what, text, "has the character NUL")
	case !utf8.ValidString(text):
		return invalid(what, text, "is not text in UTF-8")
	}
	return nil
}
