package access

import (
	"fmt"
	"os/user"
	"strconv"
	"strings"
	"sync"
)

// Refusal returns a message that says why a request is refused and what to do. wanted is the scope that the
// request needs; own is the user id that the server runs with.
func Refusal(d Doubt, peer Peer, own int, wanted Scope) string {
	name := "NAME"
	why := "this server asks for a token"
	switch d {
	case HasWorkers:
		why = "this server has workers, and asks for a token then"
	case Forwarded:
		why = "the request came through a proxy, and this server asks for a token then"
	case OtherUser:
		name = userWord(peer.UID)
		why = fmt.Sprintf("the connection belongs to %s, the server runs as %s", userText(peer.UID), strings.TrimPrefix(userText(own), "user "))
	case UnknownUser:
		why = "the system does not say which user the connection belongs to (--trust-local of stint server trusts it all the same)"
	case ForeignHost:
		why = "only requests to 127.0.0.1 or localhost are trusted without a token"
	}
	return fmt.Sprintf("%s: set STINT_TOKEN (an admin makes one with: stint token create --scope %s --name %s)", why, wanted, name)
}

// userText returns "user NAME", or "uid NUMBER" if the user has no name.
func userText(uid int) string {
	if name := userName(uid); name != "" {
		return "user " + name
	}
	return "uid " + strconv.Itoa(uid)
}

// userWord returns the user as one word of a command line.
func userWord(uid int) string {
	name := userName(uid)
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" {
		return "uid-" + strconv.Itoa(uid)
	}
	return name
}

// userNames caches the names of users: a look-up may query a directory service.
var userNames sync.Map // uid to name

func userName(uid int) string {
	if name, ok := userNames.Load(uid); ok {
		return name.(string)
	}
	name := ""
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		name = u.Username
	}
	userNames.Store(uid, name)
	return name
}
