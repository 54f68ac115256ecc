package workercmd

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/job"
)

// mostDefinition bounds a file with a definition.
const mostDefinition = 1 << 20

// local returns what a claim runs by the definition of its job in a directory of this host: see
// worker.Trust.
func local(dir string) func(c job.Claim) (job.Spec, error) {
	return func(c job.Claim) (job.Spec, error) {
		d, file, err := definitionOf(dir, c.Job)
		if err != nil {
			return job.Spec{}, err
		}
		canonical, err := d.Canonical()
		if err != nil {
			return job.Spec{}, fmt.Errorf("%s: %w", file, err)
		}
		if hash := definition.Hash(canonical); hash != c.Definition {
			return job.Spec{}, fmt.Errorf("the definition in %s on this worker's disk is version %s, not %s", file, short(hash), short(c.Definition))
		}
		values, err := d.Resolve(c.Parameters, time.Now())
		if err != nil {
			return job.Spec{}, fmt.Errorf("the parameters are none of the definition in %s: %w", file, err)
		}
		return d.Spec(values), nil
	}
}

func short(hash string) string { return hash[:min(len(hash), 12)] }

// definitionOf reads the definition of a job: from the file that has its name, or from any other
// one in the directory.
func definitionOf(dir, name string) (d definition.Definition, file string, err error) {
	files := []string{filepath.Join(dir, name+".yaml"), filepath.Join(dir, name+".yml")}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return d, "", fmt.Errorf("find the definition of %s on this worker's disk: %w", name, err)
	}
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext == ".yaml" || ext == ".yml" {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	for _, file := range files {
		d, err := readDefinition(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil && strings.TrimSuffix(strings.TrimSuffix(filepath.Base(file), ".yml"), ".yaml") == name:
			return d, file, err
		case err == nil && d.Job == name:
			return d, file, nil
		}
	}
	return d, "", fmt.Errorf("%s on this worker's disk has no definition of %s", dir, name)
}

func readDefinition(file string) (d definition.Definition, err error) {
	info, err := os.Stat(file)
	if err == nil && info.Size() > mostDefinition {
		err = fmt.Errorf("%s has more than %s", file, job.Bytes(mostDefinition))
	}
	if err != nil {
		return d, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return d, err
	}
	d, mistakes := definition.Parse(text, nil)
	if len(mistakes) > 0 {
		return d, fmt.Errorf("%s: %v", file, mistakes[0])
	}
	return d, nil
}
