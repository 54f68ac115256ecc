package failover

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestChoice(t *testing.T) {
	const jitter = 300 * time.Millisecond
	start := time.Unix(1000, 0)
	for _, c := range []struct {
		name  string
		n     int
		steps string // "AT SECONDS.BEGUN WHAT ADDRESS"
		want  int
	}{
		{"the first one is preferred", 3, "", 0},
		{"one that has never answered is left at once", 3, "0 failed 0", 1},
		{"and so are all that do not answer", 3, "0 failed 0; 0 failed 1; 0 failed 2; 0 failed 0", 1},
		{"one that has answered may fail for a second", 2, "0 answered 0; 5 failed 0; 6 failed 0", 0},
		{"and a little longer, by chance", 2, "0 answered 0; 5 failed 0; 6.3 failed 0", 1},
		{"an answer begins anew", 2, "0 answered 0; 5 failed 0; 6 answered 0; 6.5 failed 0; 7 failed 0", 0},
		{"a request that hung counts from its beginning", 2, "0 answered 0; 5.4 failed 0 since 1", 1},
		{"it does not go back by itself", 2, "0 failed 0; 1 answered 1; 90 answered 1", 1},
		{"it goes back when the other one fails", 2, "0 failed 0; 1 answered 1; 90 failed 1; 92 failed 1", 0},
		{"a reply from another one changes nothing", 3, "0 answered 0; 5 failed 1; 9 failed 2; 9 answered 2", 0},
		{"another installation is left out", 3, "0 failed 0; 1 leave 1", 2},
		{"and not used for a minute", 3, "0 leave 1; 1 failed 0; 2 failed 2; 3 failed 0", 2},
		{"but later", 3, "0 leave 1; 61 failed 0", 1},
		{"one stays if there is no other", 2, "0 leave 1; 1 failed 0", 0},
		{"a single one stays", 1, "0 failed 0; 60 failed 0; 70 leave 0", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			choice := NewChoice(c.n)
			for step := range strings.SplitSeq(c.steps, "; ") {
				if step == "" {
					continue
				}
				var at, since float64
				var what string
				var i int
				if n, _ := fmt.Sscanf(step, "%g %s %d since %g", &at, &what, &i, &since); n == 3 {
					since = at
				}
				now, begun := start.Add(time.Duration(at*float64(time.Second))), start.Add(time.Duration(since*float64(time.Second)))
				switch what {
				case "answered":
					choice.Answered(i)
				case "failed":
					choice.Failed(i, begun, now, jitter)
				case "leave":
					choice.LeaveOut(i, now)
				default:
					t.Fatalf("what is %q?", step)
				}
			}
			if choice.Current() != c.want {
				t.Errorf("address %d, want %d", choice.Current(), c.want)
			}
		})
	}
}

// Whatever happens: the address in use is one of them, it changes only when it failed or was left out, and while one address
// answers and all others fail, that one is reached after at most one failure of each other and stays in use.
func TestChoiceFindsTheOneThatAnswers(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "n")
		c, now := NewChoice(n), time.Unix(1000, 0)
		pass := func() { now = now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(rt, "ms")) * time.Millisecond) }
		for range rapid.IntRange(0, 30).Draw(rt, "steps") {
			i, before := rapid.IntRange(0, n-1).Draw(rt, "address"), c.Current()
			pass()
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				c.Answered(i)
				if c.Current() != before {
					rt.Fatal("an answer changes the address")
				}
			case 1:
				moved := c.Failed(i, now, now, 0)
				if moved != (c.Current() != before) || moved && i != before {
					rt.Fatalf("moved: %v, from %d to %d after a failure of %d", moved, before, c.Current(), i)
				}
			case 2:
				if moved := c.LeaveOut(i, now); moved && i != before {
					rt.Fatal("leaving another one out changes the address")
				}
			}
		}
		now = now.Add(2 * leaveOut) // all may be used again
		alive := rapid.IntRange(0, n-1).Draw(rt, "alive")
		failures := 0
		for ; c.Current() != alive; failures++ {
			c.Failed(c.Current(), now.Add(-Patience-Jitter), now, Jitter)
			if failures > n {
				rt.Fatalf("%d failures, and address %d is not found", failures, alive)
			}
		}
		c.Answered(alive)
		for i := range n {
			if i != alive {
				c.Failed(i, now.Add(-time.Hour), now, 0)
			}
		}
		if c.Current() != alive {
			rt.Fatal("the address that answers is left")
		}
		if limit := c.ConnectLimit(); n > 1 && limit != firstLimit || n == 1 && limit != 0 {
			rt.Fatalf("a connection may take %s", limit)
		}
	})
}

func TestConnectLimitGrows(t *testing.T) {
	c, now := NewChoice(2), time.Unix(1000, 0)
	var got []time.Duration
	for range 10 {
		got = append(got, c.ConnectLimit())
		c.Failed(c.Current(), now, now, 0)
	}
	if want := "[1s 1s 2s 2s 4s 4s 8s 8s 8s 8s]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
}
