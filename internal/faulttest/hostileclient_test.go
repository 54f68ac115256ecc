package faulttest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// hostileEnv makes a copy of this program a hostile client: the address of a server,
// tokens of the scopes agent and read, and by how much to divide the workers of each attack.
const hostileEnv = "STINT_FAULTS_HOSTILE"

// hostile is a client that does its worst, with one token of each scope.
type hostile struct {
	server      string // address and port
	agent, read string // tokens
	divide      int
	http        *http.Client
	zstd        *zstd.Encoder
	log         atomic.Pointer[string] // a run of its own with a long log

	mu      sync.Mutex
	answers map[string]map[string]int // of each attack, by status
}

// runHostile reads lines of names of attacks, and makes those of the last line until the
// next comes. It answers with a line when each of them was answered by the server. At the end
// of stdin it prints how each was answered, as JSON.
func runHostile(text string) int {
	h := &hostile{
		answers: map[string]map[string]int{},
		http:    &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}},
	}
	_, err := fmt.Sscan(text, &h.server, &h.agent, &h.read, &h.divide)
	if err == nil {
		h.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	}
	if err == nil {
		err = h.prepare()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "hostile client:", err)
		return 1
	}
	stop := func() {}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		stop()
		names := strings.FieldsFunc(lines.Text(), func(r rune) bool { return r == ',' })
		before := h.answered(names)
		stop = h.start(names)
		fmt.Println(h.awaitAnswers(names, before))
	}
	stop()
	if err := json.NewEncoder(os.Stdout).Encode(h.answers); err != nil {
		return 1
	}
	return 0
}

// start begins attacks, and returns what ends them.
func (h *hostile) start(names []string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, a := range attacks {
		if !slices.Contains(names, a.name) {
			continue
		}
		for n := range (a.workers + h.divide - 1) / h.divide {
			all.Go(func() { h.work(ctx, a, n) })
		}
	}
	return func() { cancel(); all.Wait() }
}

// work makes an attack again and again.
func (h *hostile) work(ctx context.Context, a attack, worker int) {
	for n := 0; ctx.Err() == nil; n++ {
		a.once(ctx, h, attackRound{a.name, worker, n})
		wait(ctx, a.pause)
	}
}

// brokenOff is the answer to what was not answered before the attack ended.
const brokenOff = "broken off"

// answered counts the answers to each attack.
func (h *hostile) answered(names []string) []int {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts := make([]int, len(names))
	for i, name := range names {
		for answer, n := range h.answers[name] {
			if answer != brokenOff {
				counts[i] += n
			}
		}
	}
	return counts
}

// awaitAnswers waits until every attack has more answers than before.
func (h *hostile) awaitAnswers(names []string, before []int) string {
	for begun := time.Now(); ; wait(context.Background(), 5*ms) {
		missing := ""
		for i, n := range h.answered(names) {
			if n <= before[i] {
				missing = names[i]
			}
		}
		if missing == "" {
			return "working"
		}
		if time.Since(begun) > patience {
			return "no answer to " + missing
		}
	}
}

// note counts how a request was answered.
func (h *hostile) note(attack, answer string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.answers[attack] == nil {
		h.answers[attack] = map[string]int{}
	}
	h.answers[attack][answer]++
}

// request is one that is answered at once.
type request struct {
	method, path, token string
	kind                string // Content-Type
	body                []byte
	packed              bool // send the body as zstd
}

// ask sends a request and reads the whole answer.
func (h *hostile) ask(ctx context.Context, attack string, q request) int {
	body := q.body
	if q.packed {
		body = h.zstd.EncodeAll(q.body, nil)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, "http://"+h.server+q.path, bytes.NewReader(body))
	if err != nil {
		h.note(attack, err.Error())
		return 0
	}
	if q.token != "" {
		req.Header.Set("Authorization", "Bearer "+q.token)
	}
	if q.kind != "" {
		req.Header.Set("Content-Type", q.kind)
	}
	if q.packed {
		req.Header.Set("Content-Encoding", "zstd")
	}
	resp, err := h.http.Do(req)
	if err != nil {
		h.note(attack, unanswered(ctx, "no answer"))
		return 0
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body) // the status is what counts
	h.note(attack, fmt.Sprint(resp.StatusCode))
	return resp.StatusCode
}

// unanswered is why there is no answer: the attack ended before, or something else.
func unanswered(ctx context.Context, why string) string {
	if ctx.Err() != nil {
		return brokenOff
	}
	return why
}

// append sends bytes of a run's journal.
func (h *hostile) append(ctx context.Context, attack, run string, offset int, data []byte, packed bool) int {
	return h.ask(ctx, attack, request{method: "POST", path: fmt.Sprintf("/api/v1/runs/%s/attempts/1/journal?offset=%d", run, offset), token: h.agent, body: data, packed: packed})
}

// beat sends a heartbeat.
func (h *hostile) beat(ctx context.Context, attack, run, body string) int {
	return h.ask(ctx, attack, request{method: "POST", path: "/api/v1/runs/" + run + "/attempts/1/heartbeat", token: h.agent, kind: "application/json", body: []byte(body)})
}

// hold opens a connection with a small window, sends text, and then a piece of rest every
// second, without reading, until the server ends it or ctx ends.
func (h *hostile) hold(ctx context.Context, attack, text, rest string) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.server)
	if err != nil {
		h.note(attack, unanswered(ctx, "no connection"))
		return
	}
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10) // with a larger one less is held up
	}
	if _, err := io.WriteString(conn, text); err != nil {
		h.note(attack, "cut")
		return
	}
	h.note(attack, "held")
	for {
		wait(ctx, time.Second)
		if ctx.Err() != nil {
			return
		}
		if _, err := io.WriteString(conn, rest); err != nil || rest == "" && ended(conn) {
			h.note(attack, "cut")
			return
		}
	}
}

// ended reports whether the other side has closed a connection of which nothing is read.
func ended(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(ms)) // one that cannot be set ends the read
	_, err := conn.Read(make([]byte, 1))
	var late net.Error
	return err != nil && !(errors.As(err, &late) && late.Timeout())
}

// head is the beginning of an HTTP request.
func (h *hostile) head(method, path, token, more string) string {
	if token != "" {
		token = "Authorization: Bearer " + token + "\r\n"
	}
	return method + " " + path + " HTTP/1.1\r\nHost: stint\r\n" + token + more + "\r\n"
}

// prepare makes a run with a long log, which is searched and read.
func (h *hostile) prepare() error {
	run := newRun()
	h.log.Store(&run)
	data := beginning(run, "hostile-log", nil)
	line := output(0, "aaaaaaaa bbbbbbbb "+strings.Repeat("ab", 200)+"\n")
	offset := 0
	for range 10 {
		data = append(data, bytes.Repeat(line, (mostAppend-len(data))/len(line))...)
		for tries := 0; ; tries++ {
			status := h.append(context.Background(), "preparation", run, offset, data, true)
			if status == http.StatusOK {
				break
			}
			if tries > 100 {
				return fmt.Errorf("make a long log: %v", h.answers)
			}
			wait(context.Background(), 100*ms)
		}
		offset, data = offset+len(data), nil
	}
	return nil
}
