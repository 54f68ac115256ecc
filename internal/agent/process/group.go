//go:build linux || darwin

package process

import (
	"context"
	"syscall"

	"stint.dev/stint/job"
)

type Group struct{}
type Process struct{}

func Contain(opts Options) (*Group, error)          { return &Group{}, nil }
func (g *Group) Level() string                      { return "" }
func (g *Group) Notes() []string                    { return nil }
func (g *Group) Start(s Spec) (*Process, error)     { return nil, nil }
func (g *Group) Signal(sig syscall.Signal) error    { return nil }
func (g *Group) Kill() error                        { return nil }
func (g *Group) Members() ([]Member, error)         { return nil, nil }
func (g *Group) Empty(ctx context.Context) error    { return nil }
func (g *Group) OOM() *job.OOM                      { return nil }
func (g *Group) Close() error                       { return nil }
func (g *Group) EndedUsage() Usage                  { return Usage{} }
func (g *Group) CgroupDir(controller string) string { return "" }
func (p *Process) PID() int                         { return 0 }
func (p *Process) Done() <-chan struct{}            { return nil }
func (p *Process) Exit() Exit                       { return Exit{} }
func (p *Process) Signal(sig syscall.Signal) error  { return nil }

// Sweep kills what is left of an attempt whose agent died …
func Sweep(run string, attempt int) ([]Member, error) { return nil, nil }
