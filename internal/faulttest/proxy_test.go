package faulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// toxic is the part of toxiproxy that we use.
type toxic struct {
	*toxiproxy.Proxy
	mu   sync.Mutex
	cuts int // that are going on
}

// cut closes all connections and refuses new ones, until restore was called as often.
func (p *toxic) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cuts++; p.cuts == 1 {
		p.Stop()
	}
}

func (p *toxic) restore() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cuts--; p.cuts > 0 {
		return nil
	}
	return p.Start()
}

func init() { zerolog.SetGlobalLevel(zerolog.Disabled) } // some of its toxics log past the logger given

func startToxic(listen, upstream string) (*toxic, error) {
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := toxiproxy.NewProxy(server, upstream, listen, upstream)
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("toxiproxy from %s to %s: %w", listen, upstream, err)
	}
	return &toxic{Proxy: p}, nil
}

// add begins one kind of trouble in one direction, and returns how to end it.
func (p *toxic) add(name, kind, stream string, attributes string) (func(), error) {
	_, err := p.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(
		`{"name":%q,"type":%q,"stream":%q,"attributes":{%s}}`, name, kind, stream, attributes)))
	if err != nil {
		return nil, fmt.Errorf("toxic %s: %w", kind, err)
	}
	return func() { _ = p.Toxics.RemoveToxic(context.Background(), name) }, nil // gone with its proxy else
}

// meddler is a proxy that knows requests, as a load balancer does, and treats them badly.
type meddler struct {
	upstream string
	server   *http.Server
	client   *http.Client
	late     sync.WaitGroup // requests that are still to arrive
	// answered is called, if not nil, when the server has answered a request in the mode held, before the
	// reply is passed on.
	answered func(r *http.Request, n int)

	mu    sync.Mutex
	only  func(*http.Request) bool // the requests that are treated badly; nil for all
	mode  kind                     // empty for none
	n     int
	count int // requests since the mode was set
}

func startMeddler(upstream string) (*meddler, string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	m := &meddler{upstream: upstream, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}}
	m.server = &http.Server{Handler: m}
	go func() { _ = m.server.Serve(l) }() // ends with close
	return m, l.Addr().String(), nil
}

func (m *meddler) close() {
	_ = m.server.Close() // connections are cut off
	m.late.Wait()
	m.client.CloseIdleConnections()
}

// set begins a kind of trouble; the empty one ends it.
func (m *meddler) set(mode kind, n int) { m.setFor(nil, mode, n, nil) }

// setFor begins a kind of trouble for some requests.
func (m *meddler) setFor(only func(*http.Request) bool, mode kind, n int, answered func(r *http.Request, n int)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.only, m.mode, m.n, m.count, m.answered = only, mode, n, 0, answered
}

// held is the mode in which the reply waits, see answered.
const held kind = "replies held"

// next is what to do with a request: two of three are treated badly, in a fixed order.
func (m *meddler) next(r *http.Request) (kind, int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.only != nil && !m.only(r) {
		return "", 0
	}
	m.count++
	if (m.n+m.count)%3 == 0 {
		return "", 0
	}
	return m.mode, m.n + m.count
}

func (m *meddler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	mode, n := m.next(r)
	switch mode {
	case replyLost:
		if resp, err := m.forward(r, body, nil); err == nil {
			resp.Body.Close()
		}
		panic(http.ErrAbortHandler)
	case tooLate:
		// The agent sees a broken connection and sends again; what it sent first arrives
		// after that.
		r := r.Clone(context.WithoutCancel(r.Context()))
		m.late.Go(func() {
			<-time.After(time.Duration(50+n%700) * ms)
			if resp, err := m.forward(r, body, nil); err == nil {
				resp.Body.Close()
			}
		})
		panic(http.ErrAbortHandler)
	case bodyCut:
		if resp, err := m.forward(r, body, errCut); err == nil {
			resp.Body.Close()
		}
		panic(http.ErrAbortHandler)
	case gateway:
		if n%4 == 0 {
			w.Header().Set("Retry-After", "1")
		}
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader([]int{http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}[n%3])
		_, _ = io.WriteString(w, "<html><body>upstream is not well</body></html>") // an error is the client's
		return
	case twice:
		if resp, err := m.forward(r, body, nil); err == nil {
			if n%2 == 0 {
				m.answer(w, resp)
			}
			resp.Body.Close()
		}
		resp, err := m.forward(r, body, nil)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		defer resp.Body.Close()
		if n%2 != 0 {
			m.answer(w, resp)
		}
		return
	}
	resp, err := m.forward(r, body, nil)
	if err != nil {
		http.Error(w, "upstream is away", http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	if mode == held {
		m.mu.Lock()
		answered := m.answered
		m.mu.Unlock()
		if answered != nil {
			answered(r, n)
		}
	}
	m.answer(w, resp)
}

var errCut = errors.New("cut")

// forward sends a request on; with an error given, only the first half of its body.
func (m *meddler) forward(r *http.Request, body []byte, cut error) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), 30*time.Second)
	var src io.Reader = bytes.NewReader(body)
	if cut != nil {
		src = io.MultiReader(bytes.NewReader(body[:len(body)/2]), broken{cut})
	}
	out, err := http.NewRequestWithContext(ctx, r.Method, "http://"+m.upstream+r.URL.RequestURI(), src)
	if err != nil {
		cancel()
		return nil, err
	}
	out.ContentLength = int64(len(body))
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	out.Header = r.Header.Clone()
	resp, err := m.client.Do(out)
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = &ending{resp.Body, cancel}
	return resp, nil
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

type ending struct {
	io.ReadCloser
	cancel func()
}

func (e *ending) Close() error {
	defer e.cancel()
	return e.ReadCloser.Close()
}

func (m *meddler) answer(w http.ResponseWriter, resp *http.Response) {
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body) // an error is the client's
}
