package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// defined reads a definition for the store.
func defined(t *testing.T, text string) definition.New {
	t.Helper()
	d, mistakes := definition.Parse([]byte(text), policy.Check)
	if len(mistakes) > 0 {
		t.Fatal(mistakes)
	}
	canonical, err := d.Canonical()
	must(t, err)
	n := definition.New{Job: d.Job, Version: definition.Hash(canonical), YAML: text, Canonical: canonical, Policy: d.PolicyText()}
	if n.Policy != "" {
		p, err := policy.Parse([]byte(n.Policy))
		must(t, err)
		n.Actions, err = json.Marshal(p.Actions)
		must(t, err)
	}
	return n
}

func backup(t *testing.T, zone string) definition.New {
	return defined(t, "job: backup\nscript: echo\nzone: "+zone+"\n")
}

// applied applies a set that must be taken, and returns what became of each job.
func applied(t *testing.T, s *store.Store, set definition.Set) string {
	t.Helper()
	if set.At.IsZero() {
		set.At = noon
	}
	results, err := s.ApplyDefinitions(t.Context(), set)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, r := range results {
		text := r.Job + " " + r.Result
		if r.Overwrites != "" {
			text += " (" + r.Overwrites + ")"
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// conflicts returns why a set is not applied.
func conflicts(t *testing.T, s *store.Store, set definition.Set) string {
	t.Helper()
	set.At = noon
	_, err := s.ApplyDefinitions(t.Context(), set)
	var conflict *definition.ConflictError
	if !errors.As(err, &conflict) {
		t.Fatalf("%v is no conflict", err)
	}
	return strings.Join(conflict.All, "; ")
}

func wantText(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func definitionsOfJobs(t *testing.T, s *store.Store) {
	var none *query.NotFoundError
	if _, err := s.Definition(t.Context(), "backup"); !errors.As(err, &none) {
		t.Errorf("no definition: %v", err)
	}
	first, other := backup(t, "UTC"), defined(t, "job: archive\nscript: tar\n")
	wantText(t, applied(t, s, definition.Set{New: []definition.New{first, other}, Source: "repo", By: "ada", DryRun: true}), "archive created, backup created")
	if _, err := s.Definition(t.Context(), "backup"); !errors.As(err, &none) {
		t.Errorf("a dry run has stored something: %v", err)
	}
	wantText(t, applied(t, s, definition.Set{New: []definition.New{first, other}, Source: "repo", By: "ada"}), "archive created, backup created")
	got, err := s.Definition(t.Context(), "backup")
	must(t, err)
	want := definition.Applied{
		Job: "backup", Version: first.Version, Source: "repo", YAML: first.YAML, Canonical: first.Canonical, AppliedAt: noon, AppliedBy: "ada",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)", diff)
	}

	wantText(t, applied(t, s, definition.Set{New: []definition.New{first}, By: "eve", At: noon.Add(time.Hour)}), "backup unchanged")
	if again, err := s.Definition(t.Context(), "backup"); err != nil || !cmp.Equal(got, again) {
		t.Errorf("the same content has changed something: %v %s", err, cmp.Diff(got, again))
	}

	pause := &api.Pause{At: noon, By: "bob", Why: "migration"}
	paused, err := s.PauseJob(t.Context(), "backup", pause)
	if err != nil || !cmp.Equal(paused.Paused, pause) {
		t.Fatalf("%+v, %v", paused.Paused, err)
	}
	paused, err = s.PauseJob(t.Context(), "backup", &api.Pause{At: noon.Add(time.Hour), By: "eve"})
	if err != nil || !cmp.Equal(paused.Paused, pause) {
		t.Errorf("a second pause is %+v, %v", paused.Paused, err)
	}
	second := backup(t, "Europe/Berlin")
	wantText(t, applied(t, s, definition.Set{New: []definition.New{second}, By: "eve"}), "backup updated")
	got, err = s.Definition(t.Context(), "backup")
	if err != nil || !cmp.Equal(got.Paused, pause) || got.Version != second.Version || got.Source != "repo" || got.AppliedBy != "eve" {
		t.Errorf("%+v, %v", got, err)
	}
	if resumed, err := s.PauseJob(t.Context(), "backup", nil); err != nil || resumed.Paused != nil {
		t.Errorf("%+v, %v", resumed, err)
	}
	if _, err := s.PauseJob(t.Context(), "nothing", pause); !errors.As(err, &none) {
		t.Errorf("a job without a definition is paused: %v", err)
	}

	must(t, s.DeleteDefinition(t.Context(), "backup"))
	if err := s.DeleteDefinition(t.Context(), "backup"); !errors.As(err, &none) {
		t.Errorf("deleted twice: %v", err)
	}
	if _, err := s.DefinitionVersion(t.Context(), "backup", first.Version); err != nil {
		t.Errorf("a version is gone with the definition: %v", err)
	}
	if n, err := s.DeleteJob(t.Context(), "backup", "mia"); err != nil || n != 0 {
		t.Errorf("delete the job: %d, %v", n, err)
	}
	if _, err := s.DefinitionVersions(t.Context(), "backup", 10); !errors.As(err, &none) {
		t.Errorf("versions outlive their job: %v", err)
	}
}

func definitionConflicts(t *testing.T, s *store.Store) {
	one, two, three := backup(t, "UTC"), backup(t, "Europe/Berlin"), backup(t, "Asia/Tokyo")
	set := func(n definition.New, source string) definition.Set {
		return definition.Set{New: []definition.New{n}, Source: source, By: "ada"}
	}
	edit := func(n definition.New, base string) definition.Set {
		return definition.Set{New: []definition.New{n}, Edit: true, Base: base, By: "bob", At: noon}
	}
	applied(t, s, set(one, "repo"))
	wantText(t, conflicts(t, s, edit(two, three.Version)), `job "backup" was changed since it was opened here by ada: --force overwrites that`)
	wantText(t, conflicts(t, s, edit(two, "")), `job "backup" was changed since it was opened here by ada: --force overwrites that`)
	wantText(t, conflicts(t, s, edit(defined(t, "job: new\nscript: x\n"), one.Version)), `job "new" was changed since it was opened here: --force overwrites that`)
	wantText(t, applied(t, s, edit(two, one.Version)), "backup updated")
	got, err := s.Definition(t.Context(), "backup")
	if err != nil || got.EditedAt == nil || !got.EditedAt.Equal(noon) || got.EditedBy != "bob" || got.AppliedBy != "ada" || got.Source != "repo" {
		t.Fatalf("%+v, %v", got, err)
	}

	const why = `was edited on the page at 2026-03-01 12:05 UTC by bob`
	wantText(t, conflicts(t, s, set(three, "repo")), `job "backup" `+why+`: --force overwrites that`)
	dry := set(three, "repo")
	dry.DryRun = true
	wantText(t, conflicts(t, s, dry), `job "backup" `+why+`: --force overwrites that`)
	forced := set(three, "repo")
	forced.Force = true
	wantText(t, applied(t, s, forced), "backup updated ("+why+")")
	if got, err = s.Definition(t.Context(), "backup"); err != nil || got.EditedAt != nil || got.EditedBy != "" || got.Version != three.Version {
		t.Errorf("%+v, %v", got, err)
	}

	// What was edited on the page and then written into the file is no conflict any more.
	applied(t, s, edit(two, three.Version))
	wantText(t, applied(t, s, set(two, "repo")), "backup unchanged")
	if got, err = s.Definition(t.Context(), "backup"); err != nil || got.EditedAt != nil {
		t.Errorf("%+v, %v", got, err)
	}

	wantText(t, conflicts(t, s, set(two, "other")), `job "backup" belongs to the source "repo": --force overwrites that`)
	moved := set(two, "other")
	moved.Force = true
	wantText(t, applied(t, s, moved), `backup unchanged (belongs to the source "repo")`)

	// All or none: what would be fine is not applied beside a conflict.
	both := definition.Set{New: []definition.New{defined(t, "job: fine\nscript: x\n"), three}, Source: "third", By: "ada"}
	wantText(t, conflicts(t, s, both), `job "backup" belongs to the source "other": --force overwrites that`)
	var none *query.NotFoundError
	if _, err := s.Definition(t.Context(), "fine"); !errors.As(err, &none) {
		t.Errorf("a part was applied: %v", err)
	}

	prunes(t, s)
}

func prunes(t *testing.T, s *store.Store) {
	var all []definition.New
	for i := range 5 {
		all = append(all, defined(t, fmt.Sprintf("job: j%d\nscript: x\n", i)))
	}
	applied(t, s, definition.Set{New: all, Source: "many"})
	wantText(t, conflicts(t, s, definition.Set{New: all[:2], Source: "many", Prune: true}),
		`3 of the 5 definitions of source "many" would be deleted, which is more than half: --yes deletes them`)
	wantText(t, applied(t, s, definition.Set{New: all[:3], Source: "many", Prune: true}), "j0 unchanged, j1 unchanged, j2 unchanged, j3 deleted, j4 deleted")
	wantText(t, applied(t, s, definition.Set{New: all[:1], Source: "many", Prune: true, Yes: true}), "j0 unchanged, j1 deleted, j2 deleted")
	if _, err := s.Definition(t.Context(), "backup"); err != nil {
		t.Errorf("another source was pruned: %v", err)
	}
	changed := defined(t, "job: j0\nscript: y\n")
	applied(t, s, definition.Set{New: []definition.New{changed}, Edit: true, Base: all[0].Version, By: "bob", At: noon})
	wantText(t, conflicts(t, s, definition.Set{New: all[4:], Source: "many", Prune: true, Yes: true}), `job "j0" was edited on the page by bob: --force deletes it all the same`)
	wantText(t, applied(t, s, definition.Set{New: all[4:], Source: "many", Prune: true, Yes: true, Force: true}), "j0 deleted (was edited on the page by bob), j4 created")
}

func definitionPolicies(t *testing.T, s *store.Store) {
	const head = "job: backup\nscript: x\n"
	plain := defined(t, head)
	quiet, loud := defined(t, head+"policy: {rules: {quiet: {on: false}}}\n"), defined(t, head+"policy: {rules: {quiet: {on: true}}}\n")
	stored := func() string {
		p, err := s.Policy(t.Context(), "backup")
		var none *query.NotFoundError
		if errors.As(err, &none) {
			return ""
		}
		must(t, err)
		return p.YAML
	}
	byHand := func(yaml, actions string) error {
		return s.SetPolicy(t.Context(), policy.Stored{Job: "backup", YAML: yaml, SetAt: noon, SetBy: "bob"}, []byte(actions))
	}
	set := func(n definition.New) definition.Set { return definition.Set{New: []definition.New{n}, By: "ada"} }

	must(t, byHand("actions: {failed: {retry: 2}}", `{"failed":{"notify":true,"retry":2}}`))
	wantText(t, conflicts(t, s, set(plain)), `the policy of job "backup" has retry, and a job with a definition is tried again by its retries: set the policy without retry first`)
	must(t, byHand("rules: {}", `{}`))
	wantText(t, applied(t, s, set(plain)), "backup created")
	wantText(t, stored(), "rules: {}")
	var invalid *job.InvalidError
	if err := byHand("actions: {failed: {retry: 2}}", `{"failed":{"retry":2}}`); !errors.As(err, &invalid) {
		t.Errorf("a policy with retry is set for a defined job: %v", err)
	}
	wantText(t, conflicts(t, s, set(quiet)), `job "backup" has a policy that was set by bob: --force overwrites that`)
	forced := set(quiet)
	forced.Force = true
	wantText(t, applied(t, s, forced), "backup updated (has a policy that was set by bob)")
	wantText(t, stored(), quiet.Policy)
	wantText(t, applied(t, s, set(loud)), "backup updated")
	wantText(t, stored(), loud.Policy)
	must(t, byHand("rules: {}", `{}`))
	wantText(t, conflicts(t, s, set(plain)), `job "backup" has a policy that was set by bob: --force overwrites that`)
	must(t, byHand(loud.Policy, `{}`))
	wantText(t, applied(t, s, set(plain)), "backup updated")
	wantText(t, stored(), "")
	applied(t, s, set(quiet))
	must(t, s.DeletePolicy(t.Context(), "backup"))
	wantText(t, conflicts(t, s, set(loud)), `job "backup" had its policy deleted since: --force overwrites that`)
	forced = set(loud)
	forced.Force = true
	applied(t, s, forced)
	must(t, s.DeleteDefinition(t.Context(), "backup"))
	wantText(t, stored(), "")
}

func definitionVersions(t *testing.T, s *store.Store) {
	zones := []string{"UTC", "Europe/Berlin", "Asia/Tokyo", "UTC"}
	for i, zone := range zones {
		applied(t, s, definition.Set{New: []definition.New{backup(t, zone)}, At: noon.Add(time.Duration(i) * time.Minute), By: fmt.Sprint(i)})
	}
	all, err := s.DefinitionVersions(t.Context(), "backup", 10)
	must(t, err)
	var got []string
	for _, v := range all {
		got = append(got, fmt.Sprintf("%s %s %s %s", v.Hash, v.FirstAt.Format("15:04"), v.AppliedAt.Format("15:04"), v.AppliedBy))
	}
	want := []string{backup(t, "UTC").Version + " 12:05 12:08 3", backup(t, "Asia/Tokyo").Version + " 12:07 12:07 2", backup(t, "Europe/Berlin").Version + " 12:06 12:06 1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error("(-want +got)", diff)
	}
	if two, err := s.DefinitionVersions(t.Context(), "backup", 2); err != nil || len(two) != 2 {
		t.Errorf("%d versions, %v", len(two), err)
	}
	tokyo := backup(t, "Asia/Tokyo")
	if v, err := s.DefinitionVersion(t.Context(), "backup", tokyo.Version[:8]); err != nil || v.Hash != tokyo.Version || v.YAML != tokyo.YAML || string(v.Canonical) != string(tokyo.Canonical) {
		t.Errorf("%+v, %v", v, err)
	}
	var none *query.NotFoundError
	for _, digits := range []string{"", "abc", "zzzz", strings.Repeat("0", 64), tokyo.Version + "0", "%"} {
		if _, err := s.DefinitionVersion(t.Context(), "backup", digits); !errors.As(err, &none) {
			t.Errorf("version %q: %v", digits, err)
		}
	}
	applied(t, s, definition.Set{New: []definition.New{defined(t, "job: archive\nscript: x\n"), defined(t, "job: zip\nscript: x\n")}, Source: "repo"})
	for _, c := range []struct {
		source, after string
		limit         int
		want          string
	}{{"", "", 10, "archive backup zip"}, {"", "archive", 1, "backup"}, {"repo", "", 10, "archive zip"}, {"", "zip", 10, ""}, {"other", "", 10, ""}} {
		page, err := s.ListDefinitions(t.Context(), c.source, c.after, c.limit)
		var names []string
		for _, a := range page {
			names = append(names, a.Job)
		}
		if got := strings.Join(names, " "); got != c.want || err != nil {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}

// definitionRace applies one definition from several sides: one creates it, and every other one
// finds that.
func definitionRace(t *testing.T, s *store.Store) {
	const sides = 8
	n := backup(t, "UTC")
	results := make([]string, sides)
	var all sync.WaitGroup
	for i := range sides {
		all.Go(func() {
			got, err := s.ApplyDefinitions(t.Context(), definition.Set{New: []definition.New{n}, At: noon})
			if err != nil {
				results[i] = err.Error()
				return
			}
			results[i] = got[0].Result
		})
	}
	all.Wait()
	created := 0
	for _, r := range results {
		switch r {
		case api.ApplyCreated:
			created++
		case api.ApplyUnchanged:
		default:
			t.Error(r)
		}
	}
	if created != 1 {
		t.Errorf("created %d times: %v", created, results)
	}
}
