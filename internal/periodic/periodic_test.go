package periodic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// begins runs a loop for a time, and returns when its rounds began, in seconds. Each round takes as long as
// takes says of the number of the round, from 0 on.
func begins(t *testing.T, l Loop, during time.Duration, takes func(round int) time.Duration, wake map[float64]chan struct{}) []float64 {
	t.Helper()
	var at []float64
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), during)
	defer cancel()
	for after, c := range wake {
		time.AfterFunc(time.Duration(after*float64(time.Second)), func() {
			select {
			case c <- struct{}{}:
			default:
			}
		})
	}
	l.Run(ctx, func(now time.Time) error {
		if !now.Equal(time.Now()) {
			t.Errorf("a round got %s at %s", now, time.Now())
		}
		at = append(at, time.Since(start).Seconds())
		<-time.After(takes(len(at) - 1))
		return nil
	})
	if ended := time.Since(start); ctx.Err() == nil || ended < during {
		t.Errorf("the loop ended after %s of %s", ended, during)
	}
	return at
}

func TestRoundsKeepTheirPace(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		loop   Loop
		during time.Duration
		takes  func(int) time.Duration
		wake   []float64
		want   []float64
	}{
		"at once and then each second":         {Loop{Every: s}, 3500 * time.Millisecond, func(int) time.Duration { return s / 4 }, nil, []float64{0, 1, 2, 3}},
		"after the first pause":                {Loop{Every: s, First: s / 2}, 3 * s, func(int) time.Duration { return 0 }, nil, []float64{0.5, 1.5, 2.5}},
		"one that takes too long":              {Loop{Every: s}, 5 * s, func(n int) time.Duration { return map[int]time.Duration{1: 2500 * time.Millisecond}[n] }, nil, []float64{0, 1, 3.5, 4.5}},
		"woken, and the round that is due":     {Loop{Every: s}, 2500 * time.Millisecond, func(int) time.Duration { return 0 }, []float64{0.25, 1.5}, []float64{0, 0.25, 1, 1.5, 2}},
		"woken twice, with a pause in between": {Loop{Every: s, Apart: s / 2}, 1900 * time.Millisecond, func(int) time.Duration { return 0 }, []float64{0.6, 0.7}, []float64{0, 0.6, 1.1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wake := map[float64]chan struct{}{}
				woken := make(chan struct{}, 1)
				c.loop.Wake = woken
				for _, at := range c.wake {
					wake[at] = woken
				}
				if got := begins(t, c.loop, c.during, c.takes, wake); !slices.Equal(got, c.want) {
					t.Errorf("rounds began at %v, want %v", got, c.want)
				}
			})
		})
	}
}

// The pause of a round is from its end on, and a clock that is given is asked for the time of the round.
func TestPacedRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		start, clock := time.Now(), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		var at []time.Duration
		Loop{Now: func() time.Time { return clock }}.RunPaced(ctx, func(now time.Time) (time.Duration, error) {
			if !now.Equal(clock) {
				t.Errorf("a round got %s", now)
			}
			at = append(at, time.Since(start))
			<-time.After(time.Second)
			if len(at) == 3 {
				cancel()
			}
			return time.Duration(len(at)) * time.Minute, nil
		})
		want := []time.Duration{0, time.Minute + time.Second, 3*time.Minute + 2*time.Second}
		if !slices.Equal(at, want) {
			t.Errorf("rounds began after %v, want %v", at, want)
		}
	})
}

// A context that has ended begins no round, also when a round is due.
func TestAnEndedContextBeginsNoRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 100 { // select chooses at random among what is ready
			wake := make(chan struct{}, 1)
			wake <- struct{}{}
			Loop{Every: time.Second, Wake: wake}.Run(ctx, func(time.Time) error {
				t.Error("a round began")
				return nil
			})
		}
	})
}

func TestFailuresAreLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		f := Failures{
			Log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})),
			Failing: "fails", Working: "works",
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		refused := errors.New("refused")
		for i, step := range []struct {
			ctx  context.Context
			err  error
			wait time.Duration
			want string
		}{
			{t.Context(), nil, 0, ""},
			{ended, refused, 0, ""},
			{t.Context(), fmt.Errorf("no answer after %d s", 5), 0, `level=ERROR msg=fails error="no answer after 5 s"`},
			{t.Context(), fmt.Errorf("no answer after %d s", 6), time.Hour, ""},
			{t.Context(), refused, 0, "level=ERROR msg=fails error=refused"},
			{t.Context(), errors.New("full"), time.Second, ""},
			{t.Context(), errors.New("full"), time.Minute, "level=ERROR msg=fails error=full"},
			{ended, nil, 0, ""},
			{t.Context(), nil, 0, "level=INFO msg=works"},
			{t.Context(), nil, 0, ""},
			{t.Context(), errors.New("1"), 0, "level=ERROR msg=fails error=1"},
			{t.Context(), errors.New("2"), 0, ""},
		} {
			<-time.After(step.wait)
			out.Reset()
			f.Note(step.ctx, step.err)
			if got := strings.TrimSpace(out.String()); got != step.want {
				t.Errorf("step %d logged %q, want %q", i, got, step.want)
			}
		}
		(&Failures{}).Note(t.Context(), refused) // without a log
	})
}
