package faulttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// fleetPlan is how much of the test of live agents is played.
type fleetPlan struct {
	simulated int // of them a tenth on the host whose link goes down, and a tenth behind nginx
	real      int // of them a quarter each there
	restarts  int // of the server
	rounds    int // of pauses, and of nginx
	away      time.Duration
}

var (
	shortFleet = fleetPlan{simulated: 40, real: 4, restarts: 2, rounds: 1, away: 30 * time.Second}
	wholeFleet = fleetPlan{simulated: 1000, real: 20, restarts: 10, rounds: 3, away: 2 * time.Minute}
)

// liveFleet is agents that live, on two hosts, and everything between them and the server.
type liveFleet struct {
	*world
	plan  fleetPlan
	hosts [2]*link // most agents; those whose link goes down alone
	nginx *nginx
	runs  []string
	real  []*exec.Cmd
}

// No agent that lives is called lost, whatever happens to the server, to what stands
// between, and to the agents, as long as no path is cut for longer than the lease.
func TestLiveAgentsAreNotLost(t *testing.T) {
	plan := shortFleet
	if *alive {
		plan = wholeFleet
	}
	can, why := able()
	if !can.links {
		needed(t, "network namespaces: "+strings.Join(why, "; "))
	}
	f := newLiveFleet(t, plan)
	f.begin()
	f.waitHealthy("they began", patience)
	for n := range plan.restarts {
		how := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[n%2]
		if _, err := f.server.down(how); err != nil {
			t.Fatal(err)
		}
		f.server.wantUp()
		wait(t.Context(), time.Second)
	}
	f.waitHealthy(fmt.Sprintf("%d restarts of the server", plan.restarts), patience)
	for n := range plan.rounds {
		wait(t.Context(), time.Duration(n)*1700*ms) // at another place of their periods
		f.restartNginx(2500 * ms)
		f.waitHealthy("a restart of nginx", patience)
		f.pause(10 * time.Second)
		f.waitHealthy("a pause of 10 s of agents and of a host's link", patience)
	}
	f.cut(plan.away)
	f.waitHealthy(plan.away.String()+" without network for all", patience)
	f.wantNoneLost()
}

// needed ends a test for want of something: where everything must be there, it fails.
func needed(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("not here, and CI=true: " + what)
	}
	t.Skip("not here: " + what)
}

func newLiveFleet(t *testing.T, plan fleetPlan) *liveFleet {
	t.Helper()
	f := &liveFleet{world: openWorld(t, "--insecure"), plan: plan}
	for i := range f.hosts {
		l, err := makeLink(9000 + i)
		if err != nil {
			t.Fatal(err)
		}
		f.hosts[i] = l
		t.Cleanup(func() {
			if err := l.close(); err != nil {
				t.Error(err)
			}
		})
	}
	return f
}

// openWorld is a server that listens on every address, and a client of it. access is the
// server's option that says who needs a token.
func openWorld(t *testing.T, access string) *world {
	t.Helper()
	return openWorldWith(t, access, func(*world) []string { return nil })
}

// openWorldWith does so for a server with further arguments.
func openWorldWith(t *testing.T, access string, prepare func(*world) (args []string)) *world {
	t.Helper()
	n, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, s: schedule{route: direct}, dir: t.TempDir()}
	t.Cleanup(func() {
		if t.Failed() {
			text, err := os.ReadFile(w.path("server.log"))
			t.Logf("server.log: %s %v", tail(text, 4000), err)
		}
	})
	if err := errors.Join(os.Mkdir(w.path("data"), 0o755), os.Mkdir(w.path("home"), 0o755)); err != nil {
		t.Fatal(err)
	}
	w.setClocks()
	w.server = &serverProcess{w: w, address: fmt.Sprintf("0.0.0.0:%d", n), access: access, place: append([]string{"--data", w.path("data")}, prepare(w)...)}
	w.server.wantUp()
	t.Cleanup(w.server.end)
	if w.api, err = client.New(client.Options{URL: fmt.Sprintf("http://127.0.0.1:%d", n)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.api.Close)
	return w
}

// at is an address of the server, or of nginx, as a host sees it.
func at(l *link, address string) string {
	_, port, _ := strings.Cut(address, ":")
	return "http://" + net.JoinHostPort(l.here, port)
}

func (f *liveFleet) begin() {
	p := f.plan
	most, one := f.hosts[0], f.hosts[1]
	direct := func(l *link) string { return at(l, f.server.address) }
	proxied, behind := direct(most), 0
	if _, err := exec.LookPath("/usr/sbin/nginx"); err == nil {
		f.nginx = startNginx(f.t, f.dir, f.server.address)
		proxied, behind = at(most, f.nginx.address), 1
	} else if os.Getenv("CI") == "true" {
		f.t.Fatal("not here, and CI=true: nginx (scripts/setup installs it)")
	} else {
		f.t.Log("not here: nginx (scripts/setup installs it): its restarts are left out")
	}
	tenth, quarter := p.simulated/10, p.real/4
	f.runs = append(f.runs, startFleet(f.t, p.simulated-2*tenth, "direct", direct(most), most.within)...)
	f.runs = append(f.runs, startFleet(f.t, tenth, "host", direct(one), one.within)...)
	f.runs = append(f.runs, startFleet(f.t, tenth, "nginx", proxied, most.within)...)
	for n := range p.real {
		l, url := most, direct(most)
		switch {
		case n < quarter:
			l, url = one, direct(one)
		case n < 2*quarter:
			url = proxied
		}
		f.startReal(n, l, url)
	}
	fmt.Printf("alive: %d simulated agents and %d real ones, %d of them behind nginx\n", p.simulated, p.real, (tenth+quarter)*behind)
}

// startReal starts an agent with a job that prints nothing, or something now and then.
func (f *liveFleet) startReal(n int, l *link, url string) {
	f.t.Helper()
	script := []string{"exec sleep 100000", "while :; do echo working; sleep 3; done"}[n%2]
	cmd, run := f.agentCommand(fmt.Sprint(n), url, script)
	if err := l.within(cmd.Start); err != nil {
		f.t.Fatal(err)
	}
	f.runs, f.real = append(f.runs, run), append(f.real, cmd)
	f.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT) // Wait returns the error
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait() // its code is that of a job that was stopped
	})
}

// agentCommand is a real agent with a state directory of its own.
func (w *world) agentCommand(name, url, script string) (cmd *exec.Cmd, run string) {
	run = uuid.Must(uuid.NewV7()).String()
	cmd = exec.Command(filepath.Join(programs, "stint-agent"), "run", "--server", url, "--run-id", run, "--job", "real",
		"--quiet", "--stop-grace", "1s", "--", "sh", "-c", script)
	cmd.Env = append(w.environment("agent.clock"), "STINT_STATE="+w.path("state-"+name), "STINT_FLUSH_TIMEOUT=5s")
	cmd.Dir = w.path("home")
	return cmd, run
}

// waitHealthy waits until heartbeats of every agent have arrived since now, and every run is
// healthy.
func (f *liveFleet) waitHealthy(after string, within time.Duration) {
	f.t.Helper()
	begun := time.Now()
	for {
		well, others, err := f.wellSince(begun)
		if err == nil && well == len(f.runs) {
			fmt.Printf("alive: after %s: %d runs reported and healthy within %s\n", after, well, time.Since(begun).Round(100*ms))
			return
		}
		if time.Since(begun) > within {
			f.t.Fatalf("after %s: %d of %d runs are reported and healthy, %v; the others: %v", after, well, len(f.runs), err, others)
		}
		wait(f.t.Context(), 200*ms)
	}
}

// wellSince counts the runs that are healthy and whose heartbeats arrived since a time.
func (f *liveFleet) wellSince(begun time.Time) (well int, others []string, err error) {
	q := client.RunsQuery{Limit: 500}
	for {
		page, err := f.api.Runs(f.t.Context(), q)
		if err != nil {
			return 0, nil, err
		}
		for _, r := range page.Runs {
			switch {
			case r.State == job.Running && r.Health == job.Healthy && r.LastHeartbeatAt != nil && r.LastHeartbeatAt.After(begun):
				well++
			case len(others) < 5:
				others = append(others, fmt.Sprintf("%s is %s %s, %+v", r.ID, r.State, r.Health, r.Findings))
			}
		}
		if page.NextCursor == nil {
			return well, others, nil
		}
		q.Cursor = *page.NextCursor
	}
}

func (f *liveFleet) restartNginx(away time.Duration) {
	if f.nginx == nil {
		return
	}
	f.nginx.stop(f.t)
	wait(f.t.Context(), away)
	f.nginx.start(f.t)
}

// pause stops half of the real agents, and takes down the link of a host.
func (f *liveFleet) pause(long time.Duration) {
	f.t.Helper()
	half := f.real[len(f.real)/2:]
	for _, cmd := range half {
		if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
			f.t.Error(err)
		}
	}
	f.links("down", f.hosts[1])
	wait(f.t.Context(), long)
	f.links("up", f.hosts[1])
	for _, cmd := range half {
		if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
			f.t.Error(err)
		}
	}
}

func (f *liveFleet) cut(long time.Duration) {
	f.t.Helper()
	f.links("down", f.hosts[:]...)
	wait(f.t.Context(), long)
	f.links("up", f.hosts[:]...)
}

func (f *liveFleet) links(state string, all ...*link) {
	f.t.Helper()
	for _, l := range all {
		if err := l.set(state); err != nil {
			f.t.Error(err)
		}
	}
}

// wantNoneLost reads the history of every run: a verdict that was reversed counts too.
func (f *liveFleet) wantNoneLost() {
	f.t.Helper()
	lost := 0
	for _, run := range f.runs {
		events, err := f.api.Events(context.Background(), run)
		if err != nil {
			f.t.Fatal(err)
		}
		if !slices.ContainsFunc(events, func(e job.RunEvent) bool { return e.To == string(job.Lost) }) {
			continue
		}
		lost++
		r, err := f.api.Run(context.Background(), run)
		f.t.Errorf("run %s of job %s was called lost, %v:", run, r.Job, err)
		for _, e := range events {
			f.t.Logf("%s %s: %s", e.At.Format("15:04:05.000"), e.To, e.Evidence)
		}
	}
	fmt.Printf("alive: %d of %d live agents were called lost\n", lost, len(f.runs))
}

// nginx is one with its default configuration, before a server.
type nginx struct {
	address string
	conf    string
	cmd     *exec.Cmd
}

func startNginx(t *testing.T, dir, upstream string) *nginx {
	t.Helper()
	n, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(upstream, ":")
	x := &nginx{address: fmt.Sprintf("0.0.0.0:%d", n), conf: filepath.Join(dir, "nginx.conf")}
	conf := fmt.Sprintf(`daemon off; pid %[1]s/nginx.pid; error_log %[1]s/nginx.log;
events {}
http { access_log off; server { listen %[2]s; location / { proxy_pass http://127.0.0.1:%[3]s; } } }
`, dir, x.address, port)
	if err := os.WriteFile(x.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	x.start(t)
	t.Cleanup(func() { x.stop(t) })
	return x
}

func (x *nginx) start(t *testing.T) {
	t.Helper()
	x.cmd = exec.Command("/usr/sbin/nginx", "-c", x.conf)
	x.cmd.Stderr = os.Stderr
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// stop ends it as a service manager does: it closes every connection.
func (x *nginx) stop(t *testing.T) {
	t.Helper()
	if err := errors.Join(x.cmd.Process.Signal(syscall.SIGTERM), x.cmd.Wait()); err != nil {
		t.Errorf("nginx: %v", err)
	}
}
