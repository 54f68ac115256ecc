// Printer is the job of the tests under faults: it prints a sequence that can be verified on
// both streams, at a pace that takes a given time, leaves a file when it begins and one when
// it is done, and exits with a given code.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"stint.dev/stint/internal/faulttest/sequence"
)

func main() {
	seed := flag.Uint64("seed", 1, "what is printed")
	stdout := flag.Int("stdout", 0, "bytes on stdout")
	stderr := flag.Int("stderr", 0, "bytes on stderr")
	most := flag.Int("most", 0, "most bytes of one write; 0: a fortieth of all")
	during := flag.Duration("during", 0, "how long printing takes at least")
	code := flag.Int("code", 0, "exit code")
	marks := flag.String("marks", "", "directory of the files begun and done")
	flag.Parse()
	if err := run(*seed, *stdout, *stderr, *most, *during, *marks); err != nil {
		_ = os.WriteFile(filepath.Join(*marks, "trouble"), []byte(err.Error()), 0o644) // stderr is under test
		os.Exit(99)
	}
	os.Exit(*code)
}

func run(seed uint64, stdout, stderr, most int, during time.Duration, marks string) error {
	if err := mark(marks, "begun"); err != nil {
		return err
	}
	out := [2][]byte{sequence.Bytes(seed, "stdout", stdout), sequence.Bytes(seed, "stderr", stderr)}
	files := [2]*os.File{os.Stdout, os.Stderr}
	chunks := sequence.Chunks(seed, stdout, stderr, most)
	begun := time.Now()
	for i, c := range chunks {
		which := 0
		if c.Stderr {
			which = 1
		}
		if _, err := files[which].Write(out[which][:c.Size]); err != nil {
			return fmt.Errorf("write to %s: %w", files[which].Name(), err)
		}
		out[which] = out[which][c.Size:]
		due := begun.Add(during * time.Duration(i+1) / time.Duration(len(chunks)))
		<-time.After(time.Until(due))
	}
	<-time.After(time.Until(begun.Add(during)))
	return mark(marks, "done")
}

func mark(dir, name string) error {
	if dir == "" {
		return nil
	}
	return os.WriteFile(filepath.Join(dir, name), nil, 0o644)
}
