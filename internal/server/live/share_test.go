package live

import "testing"

// Followers share an answer until the next commit, and never one that a commit has overtaken
// while it was read.
func TestFollowersShareAnswers(t *testing.T) {
	b := NewBroker()
	asked := 0
	ask := func(during func()) int {
		t.Helper()
		v, err := b.recent.share(t.Context(), "one", "run", func(any) bool { return true }, func() (any, error) {
			asked++
			mine := asked
			during()
			return mine, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return v.(int)
	}
	nothing := func() {}
	for want := range 2 {
		if got := ask(nothing); got != want+1 {
			t.Errorf("answer %d was kept though nobody follows the run", got)
		}
	}
	sub := b.Subscribe("one")
	for range 2 {
		if got := ask(nothing); got != 3 {
			t.Errorf("the second to ask was not handed the first one's answer but %d", got)
		}
	}
	b.Notify("other")
	if ask(nothing) != 3 {
		t.Error("a commit of another run counts")
	}
	b.Notify("one")
	if got := ask(func() { b.Notify("one") }); got != 4 {
		t.Errorf("answer %d is older than the commit", got)
	}
	if got := ask(nothing); got != 5 {
		t.Errorf("answer %d was overtaken by a commit", got)
	}
	sub.Close()
	again := b.Subscribe("one")
	defer again.Close()
	if got := ask(nothing); got != 6 {
		t.Errorf("answer %d is from before the run was followed again", got)
	}
}
