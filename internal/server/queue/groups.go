package queue

import (
	"context"
	"strconv"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

type groupPath struct {
	Group string `path:"group" maxLength:"600" doc:"The group's name."`
}

type groupIn struct {
	Group string `path:"group" maxLength:"600" doc:"The group's name."`
	Body  struct {
		_     struct{} `additionalProperties:"false"`
		Limit int      `json:"limit" minimum:"0" maximum:"1000000" doc:"How many of its runs may be active at once."`
	}
}

type groupList struct {
	Groups []job.Group `json:"groups" nullable:"false"`
}

// ListGroups answers all groups in the order of names, with how many of their runs are active and wait.
func (s *Routes) ListGroups(ctx context.Context, _ *struct{}) (*route.Response[groupList], error) {
	all, err := s.Groups.Groups(ctx)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list groups", err)
	}
	if all == nil {
		all = []job.Group{}
	}
	return route.OK(groupList{all})
}

// PutGroup sets how many runs of a group may be active at once. Runs that are active go on, also if they
// are more; none starts until enough have ended.
func (s *Routes) PutGroup(ctx context.Context, in *groupIn) (*route.Response[job.Group], error) {
	if err := queue.CheckGroup(in.Group); err != nil {
		return nil, s.ProblemOf(ctx, "set a group", err)
	}
	g, err := s.Groups.SetGroup(ctx, in.Group, in.Body.Limit, caller(ctx, ""))
	if err != nil {
		return nil, s.ProblemOf(ctx, "set group "+job.Quote(in.Group), err)
	}
	access.SetDetail(ctx, "limit "+strconv.Itoa(in.Body.Limit))
	return route.OK(g)
}

// DeleteGroup deletes a group: its runs have no common limit any more.
func (s *Routes) DeleteGroup(ctx context.Context, in *groupPath) (*struct{}, error) {
	if err := s.Groups.DeleteGroup(ctx, in.Group); err != nil {
		return nil, s.ProblemOf(ctx, "delete group "+job.Quote(in.Group), err)
	}
	return nil, nil //nolint:nilnil // huma responds with 204
}
