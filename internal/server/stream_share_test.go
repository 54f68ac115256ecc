package server

import "testing"

// Followers share an answer until the next commit, and never one that a commit has overtaken
// while it was read.
func TestFollowersShareAnswers(t *testing.T) {
	b := newBroker()
	asked := 0
	ask := func(during func()) int {
		t.Helper()
		v, err := b.recent.share("one", "run", func(any) bool { return true }, func() (any, error) {
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
	if ask(nothing) != 1 || ask(nothing) != 2 {
		t.Error("an answer was kept though nobody follows the run")
	}
	sub := b.Subscribe("one")
	if ask(nothing) != 3 || ask(nothing) != 3 {
		t.Error("the second to ask was not handed the first one's answer")
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
