package client

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// agentCall is one of the calls of an agent, for run someRun, attempt 3.
type agentCall struct {
	name string
	call func(t *testing.T, c *Client) (any, error)
}

var agentCalls = []agentCall{
	{"append", func(t *testing.T, c *Client) (any, error) {
		return c.Append(t.Context(), someRun, 3, 7, journalBytes[7:1007])
	}},
	{"append from", func(t *testing.T, c *Client) (any, error) {
		return c.AppendFrom(t.Context(), someRun, 3, 7, 1000, bytes.NewReader(journalBytes))
	}},
	{"append compressed", func(t *testing.T, c *Client) (any, error) {
		return c.AppendCompressed(t.Context(), someRun, 3, 7, journalBytes[7:1007])
	}},
	{"beat", func(t *testing.T, c *Client) (any, error) {
		return c.Beat(t.Context(), someRun, 3, job.Heartbeat{Sequence: 1})
	}},
}

var journalBytes = bytes.Repeat([]byte("0123456789"), 200)

const (
	ours     = `"run":"` + someRun + `","attempt":3,"server":"5a3c1c1e-6f6b-4b0e-8d0c-6f4d3f6a8b11"`
	goodBoth = `{` + ours + `,"size":1007,"owner":true,"lease_ms":15000,"next_ms":5000}`
)

func TestReplyOfTheServer(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the client reports any error
		writeJSON(w, goodBoth)
	})
	const server = "5a3c1c1e-6f6b-4b0e-8d0c-6f4d3f6a8b11"
	for _, call := range agentCalls {
		got, err := call.call(t, c)
		if err != nil {
			t.Errorf("%s: %v", call.name, err)
		}
		switch got := got.(type) {
		case job.AppendReply:
			if got != (job.AppendReply{Run: someRun, Attempt: 3, Server: server, Size: 1007}) {
				t.Errorf("%s: %+v", call.name, got)
			}
		case job.HeartbeatReply:
			if got.Run != someRun || got.Attempt != 3 || got.Server != server || !got.Owner || got.LeaseMS != 15000 || got.NextMS != 5000 {
				t.Errorf("%s: %+v", call.name, got)
			}
		}
	}
}

// foreignReply is an answer that is not one of a Stint server.
type foreignReply struct {
	name   string
	status int
	kind   string // Content-Type; JSON when empty
	body   string
	header map[string]string
}

func foreignReplies() []foreignReply {
	all := []foreignReply{
		{name: "empty object", status: 200, body: `{}`},
		{name: "null", status: 200, body: `null`},
		{name: "list", status: 200, body: `[]`},
		{name: "nothing", status: 200},
		{name: "owner only", status: 200, body: `{"owner":false}`},
		{name: "size only", status: 200, body: `{"size":0}`},
		{name: "no run", status: 200, body: strings.Replace(goodBoth, `"run"`, `"ran"`, 1)},
		{name: "no attempt", status: 200, body: strings.Replace(goodBoth, `"attempt"`, `"tried"`, 1)},
		{name: "run null", status: 200, body: strings.Replace(goodBoth, `"`+someRun+`"`, `null`, 1)},
		{name: "other run", status: 200, body: strings.Replace(goodBoth, someRun, "01890a5d-ac96-774b-bcce-b302099a8058", 1)},
		{name: "other attempt", status: 200, body: strings.Replace(goodBoth, `"attempt":3`, `"attempt":4`, 1)},
		{name: "no size and no owner", status: 200, body: `{` + ours + `,"lease_ms":1,"next_ms":1}`},
		{name: "size and owner null", status: 200, body: `{` + ours + `,"size":null,"owner":null,"lease_ms":1,"next_ms":1}`},
		{name: "keys in capitals", status: 200, body: `{` + ours + `,"SIZE":0,"OWNER":false,"LEASE_MS":1,"NEXT_MS":1}`},
		{name: "keys with letters that fold", status: 200, body: `{` + ours + `,"\u017fize":0,"Owner":false,"lea\u017fe_ms":1,"next_m\u017f":1}`},
		{name: "figures as text", status: 200, body: `{` + ours + `,"size":"1007","owner":"yes","lease_ms":"1","next_ms":"1"}`},
		{name: "figures out of range", status: 200, body: `{` + ours + `,"size":1e40,"owner":true,"lease_ms":1e40,"next_ms":1}`},
		{name: "truncated", status: 200, body: goodBoth[:len(goodBoth)-1]},
		{name: "two values", status: 200, body: goodBoth + goodBoth},
		{name: "as text", status: 200, kind: "text/plain", body: goodBoth},
		{name: "without a type", status: 200, kind: "-", body: goodBoth},
		{name: "page", status: 200, kind: "text/html", body: "<!doctype html><title>Sign in</title>"},
		{name: "created", status: 201, body: goodBoth},
		{name: "accepted", status: 202, body: goodBoth},
		{name: "no content", status: 204},
		{name: "part", status: 206, body: goodBoth},
		{name: "too long", status: 200, body: `{"x":"` + strings.Repeat("x", maxReply) + `",` + goodBoth[1:]},
		{name: "a byte too long", status: 200, body: goodBoth + strings.Repeat(" ", maxReply+1-len(goodBoth))},
		{name: "gzip", status: 200, body: string(gzipped([]byte(goodBoth))), header: map[string]string{"Content-Encoding": "gzip"}},
		{name: "gzip bomb", status: 200, body: string(gzipped(bytes.Repeat([]byte(" "), 32<<20))), header: map[string]string{"Content-Encoding": "gzip"}},
		{name: "echo", status: -1},
		{name: "409 without size", status: 409, kind: problemJSON, body: `{"type":"urn:stint:wrong-offset","title":"x","status":409}`},
		{name: "409 with a size below 0", status: 409, kind: problemJSON, body: `{"type":"urn:stint:wrong-offset","title":"x","status":409,"size":-1}`},
		{name: "problem of another status", status: 404, kind: problemJSON, body: `{"type":"urn:stint:run-deleted","title":"x","status":410}`},
		{name: "not modified", status: 304},
		{name: "redirect to nowhere", status: 302, header: map[string]string{"Location": "http://[bad"}},
	}
	for _, status := range []int{300, 400, 401, 403, 404, 405, 407, 408, 409, 410, 413, 415, 418, 421, 422, 425, 429, 451, 500, 501, 502, 503, 504, 511, 599} {
		all = append(all,
			foreignReply{name: fmt.Sprint(status, " page"), status: status, kind: "text/html", body: "<html><h1>no</h1></html>"},
			foreignReply{name: fmt.Sprint(status, " about:blank"), status: status, kind: problemJSON, body: fmt.Sprintf(`{"type":"about:blank","title":"no","status":%d,"size":7}`, status)},
			foreignReply{name: fmt.Sprint(status, " good reply"), status: status, body: goodBoth},
		)
	}
	return all
}

func gzipped(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data) // a bytes.Buffer takes everything
	_ = w.Close()
	return b.Bytes()
}

func (f foreignReply) answer(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // the client reports any error
	for name, value := range f.header {
		w.Header().Set(name, value)
	}
	switch f.kind {
	case "":
		w.Header().Set("Content-Type", "application/json")
	case "-":
		w.Header()["Content-Type"] = nil
	default:
		w.Header().Set("Content-Type", f.kind)
	}
	if f.status == -1 { // the request itself
		_, _ = w.Write(body)
		return
	}
	w.WriteHeader(f.status)
	_, _ = io.WriteString(w, f.body)
}

// Only a reply that names run and attempt and has every field counts, and only an error
// with a type of Stint is the server's.
func TestForeignReplies(t *testing.T) {
	for _, reply := range foreignReplies() {
		t.Run(reply.name, func(t *testing.T) {
			c := serve(t, reply.answer)
			for _, call := range agentCalls {
				_, err := call.call(t, c)
				var p *job.Problem
				var foreign *ForeignReplyError
				if !errors.As(err, &foreign) || errors.As(err, &p) {
					t.Errorf("%s: got %T %v", call.name, err, err)
					continue
				}
				if want := max(reply.status, 200); foreign.Status != want || foreign.URL == "" {
					t.Errorf("%s: got %+v, want status %d", call.name, foreign, want)
				}
				if text := err.Error(); len(text) > 500 || strings.ContainsAny(text, "\n\r\x1b") {
					t.Errorf("%s: not a short line: %q", call.name, text)
				}
			}
		})
	}
}

// An answer that never ends is read as far as the bound.
func TestEndlessReply(t *testing.T) {
	for _, status := range []int{200, 503} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			for {
				if _, err := io.WriteString(w, strings.Repeat(" ", 1<<10)); err != nil {
					return
				}
			}
		})
		for _, call := range agentCalls {
			_, err := call.call(t, c)
			var foreign *ForeignReplyError
			if !errors.As(err, &foreign) || foreign.Status != status {
				t.Errorf("%d, %s: got %v", status, call.name, err)
			}
		}
	}
}

// A connection that changes its protocol, or breaks inside the reply, holds nobody up.
func TestBrokenReply(t *testing.T) {
	for name, text := range map[string]string{
		"switching protocols": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
		"cut reply":           "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{",
		"not HTTP":            "220 mail.example.org ESMTP\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // the client reports any error
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.WriteString(conn, text)
				if name != "switching protocols" {
					_ = conn.Close()
					return
				}
				go func() { _, _ = io.Copy(io.Discard, conn); _ = conn.Close() }() // it waits for the client
			})
			for _, call := range agentCalls {
				_, err := call.call(t, c)
				var p *job.Problem
				if err == nil || errors.As(err, &p) {
					t.Errorf("%s: got %v", call.name, err)
				}
			}
		})
	}
}

func TestProblemsOfTheServer(t *testing.T) {
	for _, p := range []struct {
		status int
		body   string
	}{
		{409, `{"type":"urn:stint:wrong-offset","title":"Conflict","status":409,"size":12}`},
		{409, `{"type":"urn:stint:run-id-used","title":"Conflict","status":409}`},
		{410, `{"type":"urn:stint:run-deleted","title":"Gone","status":410}`},
		{413, `{"type":"urn:stint:journal-refused","title":"no","status":413}`},
		{422, `{"type":"urn:stint:journal-refused","title":"no","status":422}`},
		{401, `{"type":"urn:stint:unauthorized","title":"no","status":401}`},
		{503, `{"type":"urn:stint:unavailable","title":"no","status":503}`},
	} {
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // the client reports any error
			w.Header().Set("Content-Type", problemJSON)
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(p.status)
			_, _ = io.WriteString(w, p.body)
		})
		for _, call := range agentCalls {
			_, err := call.call(t, c)
			var got *job.Problem
			if !errors.As(err, &got) || !got.FromStint() || got.Status != p.status || got.RetryAfter != time.Minute {
				t.Errorf("%s: got %v for %s", call.name, err, p.body)
			}
			if p.status == 409 && strings.Contains(p.body, "size") && (got.Size == nil || *got.Size != 12) {
				t.Errorf("%s: size %v", call.name, got.Size)
			}
		}
	}
}

// Compressed bytes that are refused, by whomever, are sent as they are, and so is what follows.
func TestCompressionRefused(t *testing.T) {
	for _, kind := range []string{problemJSON, "text/html"} {
		var encodings []string
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			encodings = append(encodings, r.Header.Get("Content-Encoding"))
			if r.Header.Get("Content-Encoding") != "" {
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(http.StatusUnsupportedMediaType)
				_, _ = io.WriteString(w, `{"type":"urn:stint:unsupported-type","title":"no","status":415}`)
				return
			}
			if !bytes.Equal(body, journalBytes[7:1007]) {
				t.Errorf("%d other bytes", len(body))
			}
			writeJSON(w, goodBoth)
		})
		for range 2 {
			if reply, err := c.AppendCompressed(t.Context(), someRun, 3, 7, journalBytes[7:1007]); err != nil || reply.Size != 1007 {
				t.Errorf("%s: %+v, %v", kind, reply, err)
			}
		}
		if got := strings.Join(encodings, ","); got != "zstd,," {
			t.Errorf("%s: sent as %s", kind, got)
		}
	}
}

// FuzzReply reads any bytes as each kind of reply: it is whole, or it is an error.
func FuzzReply(f *testing.F) {
	for _, reply := range foreignReplies() {
		if reply.status > 0 && len(reply.body) < 1000 {
			f.Add(reply.status, reply.kind, []byte(reply.body))
		}
	}
	f.Add(200, "application/json", []byte(goodBoth))
	f.Add(409, problemJSON, []byte(`{"type":"urn:stint:wrong-offset","title":"Conflict","status":409,"size":12}`))
	c, err := New(Options{URL: "http://127.0.0.1:1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, status int, kind string, body []byte) {
		answer := func() *http.Response {
			req := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:1/", nil)
			return &http.Response{
				StatusCode: status, Request: req, Body: io.NopCloser(bytes.NewReader(body)),
				Header: http.Header{"Content-Type": {kind}, "Location": {string(body)}, "Retry-After": {strconv.Quote(kind)}},
			}
		}
		appended, errAppend := c.readAppendReply(answer(), someRun, 3)
		beat, errBeat := c.readHeartbeatReply(answer(), someRun, 3)
		if errAppend == nil && (status != 200 || appended.Run != someRun || appended.Attempt != 3 || appended.Size < 0 || !bytes.Contains(body, []byte(someRun))) {
			t.Errorf("%+v of %q", appended, body)
		}
		if errBeat == nil && (status != 200 || beat.Run != someRun || beat.Attempt != 3 || !bytes.Contains(bytes.ToLower(body), []byte("owner"))) {
			t.Errorf("%+v of %q", beat, body)
		}
		for _, err := range []error{errAppend, errBeat} {
			var p *job.Problem
			var foreign *ForeignReplyError
			switch {
			case err == nil:
			case errors.As(err, &p):
				if !p.FromStint() || p.Status != status || p.Status < 400 {
					t.Errorf("%+v of %q", p, body)
				}
			case errors.As(err, &foreign):
				if text := foreign.Error(); len(text) > 1000 || strings.ContainsAny(text, "\n\r\x1b\u009b") {
					t.Errorf("not a short line: %q", text)
				}
			default:
				t.Errorf("%T %v", err, err)
			}
		}
	})
}
