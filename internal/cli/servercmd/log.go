package servercmd

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"unicode/utf8"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/web"
)

// maxLogged is the most bytes of one value in the server's log: a client chooses paths.
const maxLogged = 500

// logger makes the server's own log: one line for each event, in one format.
func (p *program) logger(format string) (*slog.Logger, error) {
	o := &slog.HandlerOptions{ReplaceAttr: boundedAttr}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(p.Err, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(p.Err, o)), nil
	}
	return nil, option.Usagef("--log: %q is neither text nor json", format)
}

// boundedAttr brings a value into one line of bounded length. A stack keeps its lines, which the
// format quotes.
func boundedAttr(_ []string, a slog.Attr) slog.Attr {
	if a.Key == "stack" {
		return a
	}
	var text string
	switch v := a.Value.Any().(type) {
	case error:
		text = strings.Join(strings.FieldsFunc(v.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
		text = strings.ReplaceAll(text, "\t", "")
	case string:
		text = v
	default:
		return a
	}
	if len(text) > maxLogged {
		cut := maxLogged
		for cut > 0 && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut] + "…"
	}
	return slog.String(a.Key, text)
}

// logStart logs that the server answers, and what its operator should not overlook. The
// service manager is notified, now and when ctx ends.
func (p *program) logStart(ctx context.Context, cfg serveConfig) {
	cfg.Log.Info("serving", "address", cfg.address(), "data", storePlace(cfg.Store), "version", cfg.Version)
	if cfg.plainHTTP() {
		cfg.Log.Warn("PLAIN HTTP: tokens and logs can be read in transit to this address; give --tls-cert and --tls-key, or make it reachable only through a proxy that terminates TLS, and give its address with --public-url",
			"address", cfg.address())
	}
	if !web.Built() {
		cfg.Log.Warn(plainPage)
	}
	p.notifyLogged(cfg.Log, "READY=1\nSTATUS=serving "+cfg.address())
	context.AfterFunc(ctx, func() {
		cfg.Log.Info("stopping: running requests finish")
		p.notifyLogged(cfg.Log, "STOPPING=1")
	})
}

func (p *program) notifyLogged(log *slog.Logger, state string) {
	if err := p.NotifyManager(state); err != nil {
		log.Warn("the service manager was not notified", "error", err)
	}
}

// logEnd logs how the server ended. An error is then in the log, and not printed again.
func logEnd(log *slog.Logger, err error) error {
	var usage *option.UsageError
	switch {
	case err == nil:
		log.Info("stopped")
	case errors.As(err, &usage):
		return err
	default:
		log.Error("the server failed", "error", err)
		return &console.ExitError{Code: console.ExitFailed}
	}
	return nil
}
