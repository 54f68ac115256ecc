package claims

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"stint.dev/stint/internal/queue"
	"stint.dev/stint/job"
)

// Requests that arrive while another one is answered are answered together, in their order, those of one worker one after
// the other. One whose client has gone is not answered, unless its transaction has begun.
func TestRequestsAreAnsweredTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsks()
		var groups []string
		free := make(chan struct{})
		together := func(ctx context.Context, group []*ask) {
			text := ""
			for _, one := range group {
				text += one.worker + one.r.ClaimID + " "
			}
			groups = append(groups, text)
			<-free
			for _, one := range group {
				one.err, one.reply.ClaimID = ctx.Err(), one.r.ClaimID
			}
		}
		var all sync.WaitGroup
		ask := func(ctx context.Context, worker, id string, want error) {
			all.Go(func() {
				got, err := a.answer(ctx, worker, job.ClaimRequest{ClaimID: id}, together)
				if !errors.Is(err, want) || err == nil && got.ClaimID != id {
					t.Errorf("request %s of %s was answered %+v, %v", id, worker, got, err)
				}
			})
			synctest.Wait()
		}
		first, leaveFirst := context.WithCancel(t.Context())
		ask(first, "a", "1", nil)
		ask(t.Context(), "c", "1", nil)
		ask(t.Context(), "b", "1", nil)
		gone, leave := context.WithCancel(t.Context())
		ask(gone, "d", "1", context.Canceled)
		ask(t.Context(), "c", "2", nil)
		leave()
		leaveFirst()
		synctest.Wait()
		close(free)
		all.Wait()
		if got := fmt.Sprintf("%q", groups); got != `["a1 " "c1 b1 " "c2 "]` {
			t.Errorf("the groups are %s", got)
		}
	})
}

// At most so many requests are answered together, and the others next.
func TestManyRequestsAreAnsweredInGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAsks()
		var sizes []int
		free := make(chan struct{})
		var all sync.WaitGroup
		for i := range mostTogether + 3 {
			all.Go(func() {
				_, err := a.answer(t.Context(), fmt.Sprint(i), job.ClaimRequest{}, func(_ context.Context, group []*ask) {
					sizes = append(sizes, len(group))
					<-free
					for _, one := range group {
						one.err = nil
					}
				})
				if err != nil {
					t.Error(err)
				}
			})
			if i == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		close(free)
		all.Wait()
		if got := fmt.Sprint(sizes); got != fmt.Sprint([]int{1, mostTogether, 2}) {
			t.Errorf("groups of %s", got)
		}
	})
}

// Of workers that are answered together each gets runs of its own, the first that asked the first ones, and one that may not
// have its name is in nobody's way.
func TestWorkersThatAskTogetherShareTheQueue(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		s := b.servers[0]
		b.asks(t, "w2")
		var runs []string
		for range 5 {
			runs = append(runs, b.submit(t))
		}
		b.match(t)
		asks := func(worker string, free int, change func(*job.ClaimRequest)) *ask {
			r := b.poll(worker, change)
			r.Slots, r.Free = 10, free
			return &ask{worker: worker, r: r, err: errNotAnswered}
		}
		all := []*ask{
			asks("w3", 2, nil),
			asks("w2", 9, func(r *job.ClaimRequest) { r.WorkerID = "another id" }),
			asks("w1", 2, nil),
			asks("w0", 2, nil),
		}
		s.answerAll(t.Context(), all)
		var taken *queue.NameTakenError
		if !errors.As(all[1].err, &taken) || len(all[1].reply.Claims) != 0 {
			t.Errorf("the second w2 was answered %+v, %v", all[1].reply, all[1].err)
		}
		for i, want := range map[int][]string{0: runs[:2], 2: runs[2:4], 3: runs[4:]} {
			var got []string
			for _, c := range all[i].reply.Claims {
				got = append(got, c.Run)
			}
			if all[i].err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s got %v, %v, want %v", all[i].worker, got, all[i].err, want)
			}
		}
	})
}
