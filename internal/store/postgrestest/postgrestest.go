// Package postgrestest provides a real PostgreSQL for tests: a private cluster in a temporary
// directory, reached through a Unix socket, shared by the tests of one binary, each with
// a database of its own. Only tests import it.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Required is the environment variable that turns a missing PostgreSQL from a reason to
// skip into a failure: set it to 1 if every test must run.
const Required = "STINT_REQUIRE_POSTGRES"

// startTimeout bounds the start and the stop of the cluster.
const startTimeout = 60 * time.Second

// cluster is the running PostgreSQL of this test binary.
type cluster struct {
	dir      string
	server   *exec.Cmd
	bin      string // directory of PostgreSQL's programs
	owner    *syscall.Credential
	settings []string // NAME=VALUE, in addition to the common settings
	done     chan error
	released chan struct{} // closed to release the thread that started the server
	next     int
}

var (
	mu     sync.Mutex
	shared *cluster
	failed error // error of the start
)

// errMissing is returned if this machine has no PostgreSQL.
var errMissing = errors.New("no initdb and postgres on PATH or in /usr/lib/postgresql/*/bin")

// Main runs the tests of a package and then stops the cluster if one was started. It is
// the body of TestMain, which passes its result to os.Exit.
func Main(m *testing.M) int {
	code := m.Run()
	mu.Lock()
	defer mu.Unlock()
	if shared == nil {
		return code
	}
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "postgrestest:", err)
		return max(code, 1)
	}
	shared = nil
	return code
}

// URL returns the URL of an empty database for this test. It skips the test if
// there is no PostgreSQL, or fails it when Required is set. The package needs a TestMain
// that calls Main.
func URL(t testing.TB) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	if shared == nil && failed == nil {
		shared, failed = start()
	}
	if errors.Is(failed, errMissing) && os.Getenv(Required) != "1" {
		t.Skipf("PostgreSQL is not tested here: %v (apt-get install postgresql)", failed)
	}
	if failed != nil {
		t.Fatalf("start PostgreSQL: %v", failed)
	}
	shared.next++
	name := fmt.Sprintf("test_%d", shared.next)
	if err := shared.exec(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create a database: %v", err)
	}
	return shared.url(name)
}

// Copy returns the URL of a new copy of the database at a URL. No connection
// to the original may be open.
func Copy(t testing.TB, from string) string {
	t.Helper()
	u, err := url.Parse(from)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	shared.next++
	name := fmt.Sprintf("test_%d", shared.next)
	if err := shared.exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+strings.TrimPrefix(u.Path, "/")); err != nil {
		t.Fatalf("copy a database: %v", err)
	}
	return shared.url(name)
}

func (c *cluster) url(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("stint"), Path: "/" + database}
	u.RawQuery = url.Values{"host": {c.dir}}.Encode()
	return u.String()
}

func (c *cluster) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, c.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}

// start creates a cluster and waits until it is ready.
func start() (*cluster, error) { return startWith("synchronous_commit=off") }

func startWith(settings ...string) (*cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	owner, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(shortTempDir(), "stint-pg-")
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: dir, bin: bin, owner: owner, settings: settings}
	if err := c.run(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

func (c *cluster) run() error {
	if c.owner != nil {
		if err := os.Chown(c.dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return err
		}
	}
	initdb := exec.Command(filepath.Join(c.bin, "initdb"), "-D", filepath.Join(c.dir, "data"), "-U", "stint", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")
	initdb.Dir, initdb.SysProcAttr = c.dir, &syscall.SysProcAttr{Credential: c.owner}
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return c.up()
}

// up starts the server with its existing files and waits until it is ready.
func (c *cluster) up() error {
	c.done, c.released = make(chan error, 1), make(chan struct{})
	log, err := os.Create(filepath.Join(c.dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the server has its own descriptor
	c.server = exec.Command(filepath.Join(c.bin, "postgres"), "-D", filepath.Join(c.dir, "data"), "-k", c.dir,
		"-c", "listen_addresses=", "-c", "fsync=off",
		"-c", "full_page_writes=off", "-c", "max_connections=60", "-c", "deadlock_timeout=100ms")
	for _, setting := range c.settings {
		c.server.Args = append(c.server.Args, "-c", setting)
	}
	c.server.Dir, c.server.SysProcAttr = c.dir, serverAttr(c.owner)
	c.server.Stdout, c.server.Stderr = log, log
	if err := c.launch(); err != nil {
		return err
	}
	if err := c.ready(); err != nil {
		text, _ := os.ReadFile(log.Name())
		return errors.Join(fmt.Errorf("%w\n%s", err, text), c.stop())
	}
	return nil
}

// launch starts the server from a thread that lives as long as the server: if the
// system can end a child with its parent, the parent is the thread that started it.
func (c *cluster) launch() error {
	started := make(chan error)
	// A later start replaces these.
	server, done, released := c.server, c.done, c.released
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := server.Start()
		started <- err
		if err == nil {
			go func() { done <- server.Wait() }()
			<-released
		}
	}()
	return <-started
}

// ready waits until the server accepts connections.
func (c *cluster) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := c.exec(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		select {
		case werr := <-c.done:
			c.done <- werr
			return fmt.Errorf("postgres ended at once: %w", errors.Join(werr, err))
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// stop stops the server and removes its files.
func (c *cluster) stop() error {
	return errors.Join(c.down(syscall.SIGINT), os.RemoveAll(c.dir))
}

// down stops the server: with SIGINT it disconnects its clients and stops cleanly, with
// SIGQUIT it exits at once and recovers at the next start.
func (c *cluster) down(how syscall.Signal) error {
	defer close(c.released)
	_ = c.server.Process.Signal(how) // the server may have exited already
	limit := time.NewTimer(startTimeout)
	defer limit.Stop()
	select {
	case <-c.done:
		return nil
	case <-limit.C:
		err := c.server.Process.Kill()
		<-c.done
		return errors.Join(errors.New("postgres did not end when asked to, and was killed"), err)
	}
}

// binaries returns the directory of PostgreSQL's programs. On Debian it is not in PATH.
func binaries() (string, error) {
	if initdb, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(initdb); err == nil && executable(filepath.Join(filepath.Dir(real), "postgres")) {
			return filepath.Dir(real), nil
		}
	}
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	for _, dir := range dirs {
		if executable(filepath.Join(dir, "initdb")) && executable(filepath.Join(dir, "postgres")) {
			return dir, nil
		}
	}
	return "", errMissing
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// unprivileged returns the user to run PostgreSQL as, because it does not run as root.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uerr, gerr); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("postgres cannot run as root, and there is neither a user postgres nor nobody")
}

// shortTempDir returns a directory for temporary files whose path leaves room for a socket's
// name: the system allows some 100 bytes.
func shortTempDir() string {
	if dir := os.TempDir(); len(dir) < 60 {
		return dir
	}
	return "/tmp"
}
