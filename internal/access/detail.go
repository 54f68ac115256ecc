package access

import (
	"context"
	"sync/atomic"
)

type detailKey struct{}

// WithDetail returns the context of a request whose handler says with SetDetail what it changed,
// and a function that returns that.
func WithDetail(ctx context.Context) (context.Context, func() string) {
	var text atomic.Value
	return context.WithValue(ctx, detailKey{}, &text), func() string {
		detail, _ := text.Load().(string)
		return detail
	}
}

// SetDetail says what a request changed, for the audit log, where the path does not say it.
func SetDetail(ctx context.Context, text string) {
	if detail, ok := ctx.Value(detailKey{}).(*atomic.Value); ok {
		detail.Store(text)
	}
}
