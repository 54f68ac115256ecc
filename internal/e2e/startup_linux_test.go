package e2e

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// linkedIntoAgent has the packages of other modules that do something before main of stint-agent, with the most allocations
// that it may cost. stint run does the same in stint, and each job starts it. Read what the initialization of a package does
// before it gets a row: it must not print, wait, start a goroutine, or read a file. (The counts have what Go's runtime allocates
// meanwhile, so the bounds are round.)
var linkedIntoAgent = map[string]int{
	"github.com/google/uuid":                         50,
	"github.com/klauspost/compress/internal/cpuinfo": 50,
	"github.com/klauspost/compress/internal/snapref": 50,
	"github.com/klauspost/compress/zstd":             50,
	"github.com/netresearch/go-cron":                 50,
	"github.com/spf13/cobra":                         50,
	"github.com/spf13/pflag":                         50,
	"golang.org/x/sys/unix":                          50,
}

// linkedIntoStint has further ones, which stint has for the server. The large ones compile expressions.
var linkedIntoStint = map[string]int{
	"golang.org/x/sys/cpu":                                            50,
	"github.com/coreos/go-oidc/v3/oidc":                               50,
	"github.com/danielgtaylor/huma/v2":                                2500,
	"github.com/danielgtaylor/huma/v2/casing":                         50,
	"github.com/danielgtaylor/huma/v2/yaml":                           500,
	"github.com/dustin/go-humanize":                                   200,
	"github.com/go-jose/go-jose/v4":                                   50,
	"github.com/go-jose/go-jose/v4/json":                              50,
	"github.com/jackc/pgpassfile":                                     50,
	"github.com/jackc/pgx/v5":                                         100,
	"github.com/jackc/pgx/v5/internal/iobufpool":                      100,
	"github.com/jackc/pgx/v5/pgconn":                                  50,
	"github.com/jackc/pgx/v5/pgtype":                                  100,
	"github.com/jackc/pgx/v5/stdlib":                                  50,
	"github.com/jackc/puddle/v2":                                      50,
	"github.com/klauspost/compress/flate":                             50,
	"github.com/klauspost/compress/gzip":                              50,
	"github.com/klauspost/compress/s2":                                50,
	"github.com/klauspost/cpuid/v2":                                   100,
	"github.com/klauspost/crc32":                                      50,
	"github.com/minio/crc64nvme":                                      50,
	"github.com/minio/md5-simd":                                       50,
	"github.com/minio/minio-go/v7":                                    500,
	"github.com/minio/minio-go/v7/pkg/credentials":                    50,
	"github.com/minio/minio-go/v7/pkg/policy":                         50,
	"github.com/minio/minio-go/v7/pkg/replication":                    50,
	"github.com/minio/minio-go/v7/pkg/s3utils":                        2500,
	"github.com/minio/minio-go/v7/pkg/signer":                         50,
	"github.com/minio/minio-go/v7/pkg/tags":                           100,
	"github.com/nicholas-fedor/shoutrrr/pkg/color":                    50,
	"github.com/nicholas-fedor/shoutrrr/pkg/format":                   1000,
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/signal":     200,
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/slack":      200,
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/teams":      200,
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/telegram":   50,
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/wecom":      50,
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/zulip":      500,
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy":       50,
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/pushbullet": 50,
	"github.com/nicholas-fedor/shoutrrr/pkg/services/sms/twilio":      50,
	"github.com/nicholas-fedor/shoutrrr/pkg/util":                     50,
	"github.com/nicholas-fedor/shoutrrr/pkg/util/jsonclient":          50,
	"github.com/pressly/goose/v3":                                     200,
	"github.com/pressly/goose/v3/internal/sqlparser":                  50,
	"github.com/rs/xid":                                               50,
	"github.com/standard-webhooks/standard-webhooks/libraries/go":     50,
	"github.com/tinylib/msgp/msgp":                                    50,
	"github.com/zeebo/xxh3":                                           50,
	"go.yaml.in/yaml/v3":                                              500,
	"golang.org/x/crypto/argon2":                                      50,
	"golang.org/x/crypto/blake2b":                                     50,
	"golang.org/x/net/http/httpguts":                                  50,
	"golang.org/x/net/idna":                                           50,
	"golang.org/x/text/cases":                                         100,
	"golang.org/x/text/internal/language":                             50,
	"golang.org/x/text/internal/language/compact":                     50,
	"golang.org/x/text/language":                                      50,
	"golang.org/x/text/secure/precis":                                 50,
	"golang.org/x/text/unicode/norm":                                  50,
	"gopkg.in/ini%2ev1":                                               100,
	"modernc.org/libc":                                                50,
	"modernc.org/libc/sys/types":                                      50,
	"modernc.org/libc/uuid/uuid":                                      50,
	"modernc.org/mathutil":                                            50,
	"modernc.org/memory":                                              50,
	"modernc.org/sqlite":                                              50,
	"modernc.org/sqlite/lib":                                          50,
}

// startOf returns the packages whose initialization a program traces, with their allocations.
func startOf(t *testing.T, program string) map[string]int {
	t.Helper()
	cmd := exec.Command(program, "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	packages := map[string]int{}
	for _, init := range regexp.MustCompile(`(?m)^init (\S+) .* (\d+) allocs$`).FindAllStringSubmatch(string(out), -1) {
		n, err := strconv.Atoi(init[2])
		if err != nil {
			t.Fatal(err)
		}
		packages[init[1]] = n
	}
	if packages["os"] == 0 {
		t.Fatalf("no package is traced: %s", out)
	}
	return packages
}

// TestPackagesThatStartBeforeMain holds the list of packages that are initialized before each job. The standard library is not
// in it. Our own packages compile no expressions before main: one costs some 400 allocations and 100 µs.
func TestPackagesThatStartBeforeMain(t *testing.T) {
	for _, c := range []struct {
		program string
		listed  []map[string]int
		own     int // the most allocations of one of our own packages
	}{
		{stintAgent, []map[string]int{linkedIntoAgent}, 100},
		{stint, []map[string]int{linkedIntoAgent, linkedIntoStint}, 200},
	} {
		packages := startOf(t, c.program)
		for name, allocations := range packages {
			most, listed := c.own, strings.HasPrefix(name, "stint.dev/")
			if first, _, _ := strings.Cut(name, "/"); !strings.Contains(first, ".") {
				continue
			}
			for _, list := range c.listed {
				if n, ok := list[name]; ok {
					most, listed = n, true
				}
			}
			switch {
			case !listed:
				t.Errorf("%s: %s does something before main (%d allocations), and is not in the list: read what, then add it",
					filepath.Base(c.program), name, allocations)
			case allocations > most:
				t.Errorf("%s: %s allocates %d times before main, more than %d", filepath.Base(c.program), name, allocations, most)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(c.listed[len(c.listed)-1])) {
			if _, ok := packages[name]; !ok && runtime.GOARCH == "amd64" { // some do nothing on other processors
				t.Errorf("%s: %s does nothing before main any more: delete its row", filepath.Base(c.program), name)
			}
		}
	}
}

// readBeforeMain are the files that a program may open before it does what its arguments say.
var readBeforeMain = map[string]string{
	"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size": "Go's runtime",
	"/proc/self/cgroup":    "Go's runtime, for GOMAXPROCS",
	"/proc/self/mountinfo": "Go's runtime, for GOMAXPROCS",
	"/proc/self/auxv":      "Go's runtime, and the processor's features",
	"/etc/machine-id":      "github.com/rs/xid, which minio-go links; only in stint",
	"/proc/self/cpuset":    "github.com/rs/xid, which minio-go links; only in stint",
}

// opened matches a file that a program has opened, and a connection that it has made.
var opened = regexp.MustCompile(`(?:open|openat|openat2)\([^"]*"([^"]*)"|((?:connect|socket)\(.*)`)

// TestFilesReadBeforeMain shows that nothing that is linked into a program reads a file or asks the network before main: a file
// may be on a file system that does not answer.
func TestFilesReadBeforeMain(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not here (scripts/setup installs it)")
	}
	for _, program := range []string{stint, stintAgent} {
		cmd := exec.Command(strace, "-f", "-qq", "-e", "trace=open,openat,openat2,connect,socket,write", program, "version")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Skipf("nothing can be traced here: %v %s", err, out)
		}
		before, after, ok := strings.Cut(string(out), "write(1, ")
		if !ok || strings.Contains(after, "write(2, ") {
			t.Fatalf("%s version did not write one line: %s", program, out)
		}
		found := opened.FindAllStringSubmatch(before, -1)
		if len(found) == 0 {
			t.Errorf("nothing was traced: %s", out)
		}
		for _, m := range found {
			why, listed := readBeforeMain[m[1]]
			if strings.HasPrefix(m[1], "/sys/fs/cgroup/") { // of Go's runtime, for GOMAXPROCS
				why, listed = "", strings.Contains(m[1], "/cpu.")
			}
			if !listed || strings.HasSuffix(why, "only in stint") && program != stint {
				t.Errorf("%s: before main, %s", filepath.Base(program), m[0])
			}
		}
		if strings.Contains(before, "write(2, ") {
			t.Errorf("%s writes before main: %s", filepath.Base(program), before)
		}
	}
}
