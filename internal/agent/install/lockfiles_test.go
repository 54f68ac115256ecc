package install

import (
	"os"
	"path/filepath"
	"testing"
)

func TestLockFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"requirements.txt": "numpy==1\n", "a.lock": "1", "unnamed": "2"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "src"), 0o700); err != nil {
		t.Fatal(err)
	}
	install := []string{"pip install --require=requirements.txt src /dev/zero missing"}
	before := lockFiles(dir, install, []string{"a.lock"})
	if len(before) != 2 || before["requirements.txt"] == "" || before["a.lock"] == "" {
		t.Fatalf("lock files %v", before)
	}
	if err := os.WriteFile(filepath.Join(dir, "requirements.txt"), []byte("numpy==2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if after := lockFiles(dir, install, []string{"a.lock"}); after["requirements.txt"] == before["requirements.txt"] || after["a.lock"] != before["a.lock"] {
		t.Errorf("before %v, after %v", before, after)
	}
	if got := lockFiles(dir, nil, nil); got != nil {
		t.Errorf("without install steps: %v", got)
	}
}
