// Package demo is the job that stint demo runs: a study of the text that lies around on
// this machine. It is a real piece of work with phases that differ in CPU and memory, and
// it needs nothing but the program itself.
//
// Its install step collects the text. The command counts words and pairs of words (memory
// grows), compresses the text on every core at rising levels (CPU is full), and finds the
// longest phrase that occurs twice, through a suffix array (one core, much memory). Each
// phase ends when its work or its share of the time is done, so that the whole takes 20 to
// 40 seconds on any machine.
package demo

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"unicode/utf8"
)

const (
	// corpusBytes is how much text is collected at most.
	corpusBytes = 48 << 20
	// fileBytes is the largest file that is taken.
	fileBytes = 4 << 20
	// CorpusFile is what the install step leaves in its directory.
	CorpusFile = "corpus.txt"
)

// places are where machines keep text, the most readable first.
var places = []string{
	"/usr/local/go/src", "/usr/lib/go", "/usr/share/common-licenses", "/usr/share/doc", "/usr/share/perl",
	"/usr/lib/python3", "/usr/share", "/usr/include", "/etc", "/usr/lib", "/usr/local/lib", "/System/Library", ".",
}

// Collect gathers text files into dir/corpus.txt. It fails when the machine has next to no
// text to read or dir cannot be written.
func Collect(dir string, out, errOut io.Writer) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make the working directory: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, CorpusFile))
	if err != nil {
		return fmt.Errorf("make the corpus: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	c := &collector{w: f, seen: map[string]bool{}}
	for _, place := range places {
		before, files := c.bytes, c.files
		if err := filepath.WalkDir(place, c.visit); err != nil {
			return err
		}
		if c.files > files {
			fmt.Fprintf(out, "took %d files, %.1f MiB, from %s\n", c.files-files, float64(c.bytes-before)/(1<<20), place)
		}
		if c.bytes >= corpusBytes {
			break
		}
	}
	if c.unreadable > 0 {
		fmt.Fprintf(errOut, "left out %d files and directories that could not be read\n", c.unreadable)
	}
	if c.bytes < 64<<10 {
		return fmt.Errorf("found only %d bytes of text on this machine, too little to study", c.bytes)
	}
	fmt.Fprintf(out, "collected %d files, %.1f MiB of text\n", c.files, float64(c.bytes)/(1<<20))
	return nil
}

type collector struct {
	w          io.Writer
	seen       map[string]bool
	files      int
	bytes      int64
	unreadable int
}

// visit takes one file. What cannot be read is counted and passed over: the study does not
// depend on any single file.
func (c *collector) visit(path string, d fs.DirEntry, err error) error {
	switch {
	case c.bytes >= corpusBytes:
		return fs.SkipAll
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		c.unreadable++
		return nil
	case !d.Type().IsRegular() || c.seen[path]:
		return nil
	}
	c.seen[path] = true
	info, err := d.Info()
	if err != nil || info.Size() == 0 || info.Size() > fileBytes {
		return nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		c.unreadable++
		return nil
	}
	if !utf8.Valid(text) || mayBeBinary(text) {
		return nil
	}
	text = append(text, '\n')
	if _, err := c.w.Write(text); err != nil {
		return fmt.Errorf("write the corpus: %w", err)
	}
	c.files++
	c.bytes += int64(len(text))
	return nil
}

func mayBeBinary(text []byte) bool {
	head := text[:min(len(text), 4096)]
	for _, b := range head {
		if b == 0 {
			return true
		}
	}
	return false
}
