package children

import "stint.dev/stint/internal/agent/process/procfs"

// adoption is nothing here: macOS gives orphans to launchd, so there is nothing to adopt and
// nothing to reap but what Start made.
type adoption struct{}

func (r *registry) adopt() error { return nil }

func (r *registry) endAdoption() (wait func()) { return func() {} }

func (r *registry) reap() int { return 0 }

func (r *registry) adopted(Group, func(s *procfs.Stat)) (listed bool) { return false }
