package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Token is an access token as the server lists it: without its secret.
type Token struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Scope      string     `json:"scope"`
	Prefix     string     `json:"prefix"` // the first characters of the secret
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  *time.Time `json:"expires_at"`
	LastUsedAt *time.Time `json:"last_used_at"`
	TokenWorker
}

// NewToken is a token that was just made, with its secret, which is shown this once.
type NewToken struct {
	Secret string `json:"token"`
	Token
}

// Tokens lists the tokens, oldest first. It needs the scope admin, as do the calls below.
func (c *Client) Tokens(ctx context.Context) ([]Token, error) {
	var out struct {
		Tokens []Token `json:"tokens"`
	}
	err := c.Get(ctx, "/api/v1/tokens", &out)
	return out.Tokens, err
}

// TokenWorker is the worker that a token of the scope worker is for, and the labels that it may have.
type TokenWorker struct {
	Worker string            `json:"worker,omitempty"`
	Labels map[string]string `json:"labels,omitempty"`
}

// CreateToken makes a token that is valid for a time; 0 for ever.
func (c *Client) CreateToken(ctx context.Context, name, scope string, valid time.Duration, of TokenWorker) (NewToken, error) {
	in := struct {
		Name           string  `json:"name"`
		Scope          string  `json:"scope"`
		ExpiresSeconds float64 `json:"expires_seconds,omitempty"`
		TokenWorker
	}{name, scope, valid.Seconds(), of}
	var out NewToken
	err := c.Send(ctx, http.MethodPost, "/api/v1/tokens", in, &out)
	return out, err
}

// RevokeToken makes the token with an id invalid.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.Send(ctx, http.MethodDelete, "/api/v1/tokens/"+url.PathEscape(id), nil, nil)
}
