package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"stint.dev/stint/internal/notify/message"
	"stint.dev/stint/job/api"
)

// webhook posts messages as JSON, signed according to the Standard Webhooks specification.
type webhook struct {
	url    string
	signer *standardwebhooks.Webhook // nil for no signature
	guard  guard
	now    func() time.Time
}

func newWebhook(r api.Route, u *url.URL, g guard) (*webhook, error) {
	if err := checkHost(u.Hostname(), g); err != nil {
		return nil, err
	}
	w := &webhook{url: u.String(), guard: g, now: time.Now}
	if r.Secret == "" {
		return w, nil
	}
	signer, err := standardwebhooks.NewWebhook(r.Secret)
	if err != nil {
		return nil, errors.New("secret: it is not base64 after the prefix whsec_")
	}
	w.signer = signer
	return w, nil
}

// webhookBody is the body of a webhook. Type, timestamp and data are fields of the specification.
type webhookBody struct {
	Type      string      `json:"type"` // "run.failed", "server.network", "summary"
	Timestamp time.Time   `json:"timestamp"`
	Data      webhookData `json:"data"`
}

type webhookData struct {
	Route    string         `json:"route"`
	Severity string         `json:"severity,omitempty"`
	Title    string         `json:"title"`
	Text     string         `json:"text"`
	Items    []message.Item `json:"items"`
}

// typeOf returns the type of a message.
func typeOf(m message.Message) string {
	switch {
	case m.Summary || len(m.Items) == 0:
		return "summary"
	case m.Items[0].Run == nil:
		return "server." + m.Items[0].What
	}
	return "run." + m.Items[0].What
}

func (w *webhook) Send(ctx context.Context, m message.Message) error {
	body, err := json.Marshal(webhookBody{Type: typeOf(m), Timestamp: m.At, Data: webhookData{
		Route: m.Route, Severity: string(m.Severity), Title: m.Title(message.Plain), Text: m.Text(message.Plain), Items: m.Items,
	}})
	if err != nil {
		return &SendError{Why: "the message cannot be encoded as JSON: " + err.Error(), Refused: true}
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return &SendError{Why: "the URL is invalid", Never: true}
	}
	at := w.now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "stint")
	req.Header.Set(standardwebhooks.HeaderWebhookID, m.ID)
	req.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	if w.signer != nil {
		signature, err := w.signer.Sign(m.ID, at, body)
		if err != nil {
			return &SendError{Why: fmt.Sprintf("the message cannot be signed: %v", err), Never: true}
		}
		req.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	client, _ := w.guard.client(ctx)
	res, err := client.Do(req)
	if err != nil {
		return failed(err)
	}
	defer res.Body.Close() //nolint:errcheck // the body was only read
	reply, err := io.ReadAll(io.LimitReader(res.Body, 1000))
	if err != nil && res.StatusCode < 300 {
		reply = nil // the status suffices
	}
	return classifyStatus(res.StatusCode, res.Header.Get("Retry-After"), string(reply))
}
