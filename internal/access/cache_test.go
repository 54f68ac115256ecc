package access

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func tokenNumber(n int) Token {
	return Token{ID: fmt.Sprint("id", n), Hash: fmt.Append(nil, "hash", n)}
}

// All tokens are cached until one is revoked, and the use of each is recorded
// once in useInterval.
func TestTokensRemembersMany(t *testing.T) {
	const many = 20_000
	c, now := NewTokens(), time.Now()
	c.SetRevoked(7, now)
	for n := range many {
		c.Put(tokenNumber(n), c.Revoked(), now)
	}
	noted := 0
	for len(c.TakeUsed(500)) > 0 {
		noted += 500
	}
	if noted != many {
		t.Errorf("%d uses were noted of %d", noted, many)
	}
	later := now.Add(useInterval - 1)
	c.SetRevoked(7, later)
	for n := range many {
		if got, ok := c.Get(tokenNumber(n).Hash, later); !ok || got.ID != tokenNumber(n).ID {
			t.Fatalf("token %d is forgotten: %+v", n, got)
		}
	}
	if used := c.TakeUsed(many); len(used) > 0 {
		t.Errorf("%d uses were noted before %s", len(used), useInterval)
	}
	if _, ok := c.Get(tokenNumber(1).Hash, later.Add(revokedTimeout)); ok {
		t.Error("a token is trusted for too long while the database does not say what was revoked")
	}
	c.Put(tokenNumber(1), c.Revoked(), later)
	if used := c.TakeUsed(many); len(used) > 0 {
		t.Errorf("looking a token up again noted its use: %v", used)
	}
	if _, ok := c.Get(tokenNumber(1).Hash, now.Add(useInterval)); !ok || len(c.TakeUsed(many)) != 1 {
		t.Errorf("a use after %s was not noted", useInterval)
	}
	c.SetRevoked(7, later.Add(tokenTimeout))
	if _, ok := c.Get(tokenNumber(1).Hash, later.Add(tokenTimeout)); ok {
		t.Error("a token is known for longer than tokenTimeout")
	}
	c.Put(tokenNumber(2), c.Revoked(), now.Add(2*useInterval))
	c.Delete("id2")
	c.SetRevoked(7, now.Add(2*useInterval))
	if _, ok := c.Get(tokenNumber(2).Hash, now.Add(2*useInterval)); ok || len(c.TakeUsed(many)) != 0 {
		t.Error("a revoked token is remembered")
	}
}

// After any server has revoked a token, every token is looked up again, also one whose look-up
// began before the revocation and ended after it.
func TestTokensAreLookedUpAfterOneIsRevoked(t *testing.T) {
	c, now := NewTokens(), time.Now()
	if _, ok := c.Get(tokenNumber(1).Hash, now); ok {
		t.Error("a token is known at the start")
	}
	c.Put(tokenNumber(1), c.Revoked(), now)
	if _, ok := c.Get(tokenNumber(1).Hash, now); ok {
		t.Error("a token is trusted before the database reported what was revoked")
	}
	c.SetRevoked(3, now)
	before := c.Revoked()
	c.Put(tokenNumber(1), before, now)
	if _, ok := c.Get(tokenNumber(1).Hash, now); !ok {
		t.Error("a token that was just looked up is not known")
	}
	c.SetRevoked(4, now)
	c.Put(tokenNumber(2), before, now)
	for n := range 2 {
		if _, ok := c.Get(tokenNumber(n+1).Hash, now); ok {
			t.Errorf("token %d is trusted without a new look-up", n+1)
		}
	}
	c.Put(tokenNumber(1), c.Revoked(), now)
	if _, ok := c.Get(tokenNumber(1).Hash, now); !ok {
		t.Error("a token that was looked up again is not known")
	}
}

func TestLRU(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 5).Draw(t, "most")
		l := newLRU[int, int](most)
		var order []int // the model: keys, the most recently used last
		values := map[int]int{}
		use := func(key int) {
			for i, k := range order {
				if k == key {
					order = append(order[:i:i], order[i+1:]...)
					break
				}
			}
			order = append(order, key)
		}
		for range rapid.IntRange(0, 50).Draw(t, "steps") {
			key := rapid.IntRange(0, 8).Draw(t, "key")
			switch rapid.IntRange(0, 2).Draw(t, "what") {
			case 0:
				got := l.get(key)
				want, ok := values[key]
				if (got != nil) != ok || ok && *got != want {
					t.Fatalf("get %d: %v, want %d %t", key, got, want, ok)
				}
				if ok {
					use(key)
				}
			case 1:
				value := rapid.Int().Draw(t, "value")
				if _, ok := values[key]; !ok && len(order) == most {
					delete(values, order[0])
					order = order[1:]
				}
				l.put(key, value)
				values[key] = value
				use(key)
			case 2:
				l.removeIf(func(k int, _ *int) bool { return k == key })
				if _, ok := values[key]; ok {
					use(key)
					order = order[:len(order)-1]
					delete(values, key)
				}
			}
			if len(l.entries) != len(values) || l.order.Len() != len(values) {
				t.Fatalf("%d entries, %d in order, want %d", len(l.entries), l.order.Len(), len(values))
			}
		}
	})
}

func TestFailures(t *testing.T) {
	f, now := NewFailures(), time.Now()
	one, other := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	for range maxFailures {
		if wait := f.Wait(one, now); wait > 0 {
			t.Fatalf("wait %s", wait)
		}
		f.Count(one, now)
	}
	if wait := f.Wait(one, now); wait <= 0 || wait > failureInterval {
		t.Errorf("after %d wrong tokens: wait %s", maxFailures, wait)
	}
	if wait := f.Wait(other, now); wait > 0 {
		t.Errorf("another address waits %s", wait)
	}
	if wait := f.Wait(one, now.Add(failureInterval)); wait > 0 {
		t.Errorf("after a pause: wait %s", wait)
	}
	for n := range 2 * maxAddresses {
		f.Count(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), 32), now)
	}
	if len(f.since) > maxAddresses {
		t.Errorf("%d addresses are remembered", len(f.since))
	}
}
