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
	Token string `json:"token" doc:"A token with the scope read, write or admin"`
}

// loginBody is the most bytes of a login: everybody may send one.
const loginBody = 4 << 10

// meAnswer says who the server takes the sender for.
type meAnswer struct {
	Name  string   `json:"name"`
	Scope string   `json:"scope" doc:"read, write or admin; empty when one must log in"`
	Via   string   `json:"via" enum:"none,token,session,oidc"`
	Login []string `json:"login" doc:"The ways to log in: token, oidc"`
	// CopiedAt is shown to everybody who sees the page.
	CopiedAt *time.Time `json:"copied_at,omitempty" doc:"When the restored copy was made that this server works on; absent on an original"`
}

// PostLogin changes a token into a session. A wrong one counts as a wrong guess.
func (s *Guard) PostLogin(w http.ResponseWriter, r *http.Request) {
	var body loginRequest
	r.Body = http.MaxBytesReader(w, r.Body, loginBody)
	err := httpio.ReadJSON(r, `a login such as {"token":"stint_…"}`, true, &body)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	a, err := s.identifyToken(r, body.Token)
	if err == nil && !a.Scope.Allows(access.Read) {
		err = httpio.NewProblem(http.StatusForbidden, "the token %s is for agents: log in with one that has the scope read, write or admin", job.Quote(a.Name))
	}
	if err == nil {
		err = s.logins.begin(r)
	}
	if err == nil {
		err = s.beginSession(w, r, access.Caller{Name: a.Name, Scope: a.Scope, Via: access.ViaToken, Token: a.Token}, "")
	}
	if err != nil {
		if p := httpio.AsProblem(err); p.Status == http.StatusForbidden {
			s.refused(r, p.Detail)
		}
		s.Fail(w, r, err)
		return
	}
	a.Via = access.ViaSession
	s.audit(r, a, "log in", http.StatusOK)
	httpio.Answer(w, s.me(a))
}

// PostLogout ends the session of the cookie; without one it changes nothing.
func (s *Guard) PostLogout(w http.ResponseWriter, r *http.Request) {
	if err := s.endSession(r.Context(), r); err != nil {
		s.Fail(w, r, err)
		return
	}
	http.SetCookie(w, s.cookie(r, sessionCookie, "", -time.Second))
	httpio.Answer(w, s.me(access.Caller{Via: access.ViaNone}))
}

// GetMe answers also whoever still has to log in: the page asks it first.
func (s *Guard) GetMe(w http.ResponseWriter, r *http.Request) {
	a, err := s.identify(r)
	if err != nil && httpio.AsProblem(err).Status == http.StatusUnauthorized {
		a, err = access.Caller{Via: access.ViaNone}, nil // a session that has ended is nobody's
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	httpio.Answer(w, s.me(a))
}

func (s *Guard) me(a access.Caller) meAnswer {
	out := meAnswer{Name: a.Name, Scope: string(a.Scope), Via: a.Via, Login: []string{access.ViaToken}, CopiedAt: s.CopiedAt}
	if s.oidc != nil {
		out.Login = append(out.Login, access.ViaOIDC)
	}
	return out
}
