package access

import "testing"

func TestScopeAllows(t *testing.T) {
	may := map[Scope]map[Scope]bool{
		Public: {Public: true},
		Agent:  {Public: true, Agent: true},
		Read:   {Public: true, Read: true},
		Write:  {Public: true, Read: true, Write: true},
		Author: {Public: true, Read: true, Write: true, Author: true},
		Worker: {Public: true, Worker: true},
		Ping:   {Public: true, Ping: true},
		Admin:  {Public: true, Agent: true, Read: true, Write: true, Author: true, Admin: true, Worker: true, Ping: true},
	}
	for has, allowed := range may {
		if valid := has != Public; has.Valid() != valid {
			t.Errorf("%q is a scope of tokens: %t, want %t", has, !valid, valid)
		}
		for wanted := range may {
			if got := has.Allows(wanted); got != allowed[wanted] {
				t.Errorf("scope %q allows %q: %t, want %t", has, wanted, got, allowed[wanted])
			}
		}
	}
	if Scope("root").Valid() {
		t.Error("an unknown scope is valid")
	}
}
