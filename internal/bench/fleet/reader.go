package fleet

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// read follows a run live and notes how old its lines are.
func (f *Fleet) read(id string) {
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, fmt.Sprintf("http://%s/api/v1/runs/%s/stream?tail=1", f.host, id), nil)
	if err != nil {
		f.fail(err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.fail(err)
		return
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4<<10), 1<<20)
	for lines.Scan() {
		f.seen(lines.Bytes())
	}
	if f.ctx.Err() == nil {
		f.fail(fmt.Errorf("live stream of run %s ended: %w", id, errors.Join(lines.Err(), errIncomplete)))
	}
}

// seen notes the age of the first line of an output event, which begins with "at" and when it
// was written; the others are younger.
func (f *Fleet) seen(event []byte) {
	if !f.measuring.Load() {
		return
	}
	_, text, ok := bytes.Cut(event, []byte(`"text":"at `))
	if !ok {
		return // not output
	}
	now := time.Now().UnixNano()
	number, _, _ := bytes.Cut(text, []byte(" "))
	if ns, err := strconv.ParseInt(string(number), 10, 64); err == nil {
		f.late.add(float64(now-ns) / 1e9)
	}
}
