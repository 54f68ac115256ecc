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

	"stint.dev/stint/job"
)

// webhook posts messages as JSON, signed as the Standard Webhooks specification says.
type webhook struct {
	url    string
	signer *standardwebhooks.Webhook // nil: not signed
	guard  guard
	now    func() time.Time
}

func newWebhook(r job.Route, u *url.URL, g guard) (*webhook, error) {
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

// webhookBody is the JSON of a webhook: type, timestamp and data are those of the
// specification.
type webhookBody struct {
	Type      string      `json:"type"` // "run.failed", "server.network", "summary"
	Timestamp time.Time   `json:"timestamp"`
	Data      webhookData `json:"data"`
}

type webhookData struct {
	Route    string `json:"route"`
	Severity string `json:"severity,omitempty"`
	Title    string `json:"title"`
	Text     string `json:"text"`
	Items    []Item `json:"items"`
}

// typeOf names a message's kind.
func typeOf(m Message) string {
	switch {
	case m.Summary || len(m.Items) == 0:
		return "summary"
	case m.Items[0].Run == nil:
		return "server." + m.Items[0].What
	}
	return "run." + m.Items[0].What
}

func (w *webhook) Send(ctx context.Context, m Message) error {
	body, err := json.Marshal(webhookBody{Type: typeOf(m), Timestamp: m.At, Data: webhookData{
		Route: m.Route, Severity: string(m.Severity), Title: m.Title(plain), Text: m.Text(plain), Items: m.Items,
	}})
	if err != nil {
		return &SendError{Why: "the message cannot be written as JSON: " + err.Error(), Refused: true}
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return &SendError{Why: "the URL cannot be used", Never: true}
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
	defer res.Body.Close() //nolint:errcheck // nothing depends on it
	reply, err := io.ReadAll(io.LimitReader(res.Body, 1000))
	if err != nil && res.StatusCode < 300 {
		reply = nil // the status is the answer
	}
	return classifyStatus(res.StatusCode, res.Header.Get("Retry-After"), string(reply))
}
