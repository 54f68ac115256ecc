package access

import (
	"net/http"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// loginRequest is the body of a login with a token.
type loginRequest struct {
	Token string `json:"token" doc:"A token with the scope read, write, author or admin"`
}

// maxLoginBody is the most bytes of a login, which needs no token.
const maxLoginBody = 4 << 10

// meAnswer is the identity of the caller.
type meAnswer struct {
	Name  string   `json:"name"`
	Scope string   `json:"scope" doc:"read, write, author or admin; empty if the caller has to log in"`
	Via   string   `json:"via" enum:"none,token,session,oidc"`
	Login []string `json:"login" doc:"The ways to log in: token, oidc"`
	// Server needs no login, so that an agent can find out which installation an address leads to before it sends anything.
	Server string `json:"server" doc:"The id of the installation: all servers of one database have the same"`
	// CopiedAt needs no login, because the page shows it to everybody.
	CopiedAt *time.Time `json:"copied_at,omitempty" doc:"When the database was copied, if it is a restored copy; absent on an original"`
}

// PostLogin exchanges a token for a session. A wrong token counts as a failure of the address.
func (s *Guard) PostLogin(w http.ResponseWriter, r *http.Request) {
	var body loginRequest
	r.Body = http.MaxBytesReader(w, r.Body, maxLoginBody)
	err := httpio.ReadJSON(r, `a login such as {"token":"stint_…"}`, true, &body)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	a, err := s.identifyToken(r, body.Token)
	if err == nil && !a.Scope.Allows(access.Read) {
		err = httpio.NewProblem(http.StatusForbidden, "the token %s has the scope %s: log in with a token of the scope read, write, author or admin", job.Quote(a.Name), a.Scope)
	}
	if err == nil {
		err = s.logins.begin(r)
	}
	if err == nil {
		err = s.beginSession(w, r, access.Caller{Name: a.Name, Scope: a.Scope, Via: access.ViaToken, Token: a.Token}, "")
	}
	if err != nil {
		if p := httpio.AsProblem(err); p.Status == http.StatusForbidden {
			s.recordRefused(r, p.Detail)
		}
		s.Fail(w, r, err)
		return
	}
	a.Via = access.ViaSession
	s.audit(r, a, "log in", http.StatusOK, "")
	httpio.OK(w, s.me(a))
}

// PostLogout ends the session of the request's cookie, if it has one.
func (s *Guard) PostLogout(w http.ResponseWriter, r *http.Request) {
	if err := s.endSession(r.Context(), r); err != nil {
		s.Fail(w, r, err)
		return
	}
	http.SetCookie(w, s.cookie(r, sessionCookie, "", -time.Second))
	httpio.OK(w, s.me(access.Caller{Via: access.ViaNone}))
}

// GetMe responds with the identity of the caller, also to one that has to log in.
func (s *Guard) GetMe(w http.ResponseWriter, r *http.Request) {
	a, err := s.identify(r)
	if err != nil && httpio.AsProblem(err).Status == http.StatusUnauthorized {
		a, err = access.Caller{Via: access.ViaNone}, nil // an ended session counts as none
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	httpio.OK(w, s.me(a))
}

// me returns the response for a caller.
func (s *Guard) me(a access.Caller) meAnswer {
	out := meAnswer{Name: a.Name, Scope: string(a.Scope), Via: a.Via, Server: s.Installation, Login: []string{access.ViaToken}, CopiedAt: s.CopiedAt}
	if s.oidc != nil {
		out.Login = append(out.Login, access.ViaOIDC)
	}
	return out
}
