package secretkey

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func someKey(t interface{ Fatal(...any) }, secret byte) Key {
	k, err := newKey([]byte(strings.Repeat(string(rune(secret)), keyBytes)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// What was encrypted comes back for its row and key alone, and its text shows nothing of it.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		row, other := rapid.String().Draw(t, "row"), rapid.String().Draw(t, "other")
		a, b := someKey(t, 'a'), someKey(t, 'b')
		keys := Keys{b, a}
		text := a.Encrypt(plain, row)
		got, err := keys.Decrypt(text, row)
		if err != nil || string(got) != string(plain) {
			t.Fatalf("got %q, %v", got, err)
		}
		if id, encrypted := Encrypted(text); !encrypted || id != a.ID() {
			t.Fatalf("encrypted with %q: %v", id, encrypted)
		}
		if again := a.Encrypt(plain, row); again == text {
			t.Fatal("the same text twice: the nonce is not random")
		}
		if len(plain) > 5 && strings.Contains(text, base64.RawURLEncoding.EncodeToString(plain)) {
			t.Fatal("the text shows what it holds")
		}
		if _, err := keys.Decrypt(text, other); row != other && !errors.Is(err, ErrDamaged) {
			t.Fatalf("decrypted for row %q as for %q: %v", other, row, err)
		}
		var missing *MissingKeyError
		if _, err := (Keys{b}).Decrypt(text, row); !errors.As(err, &missing) || missing.ID != a.ID() {
			t.Fatalf("decrypted without the key: %v", err)
		}
	})
}

// A text that was changed anywhere is not decrypted, and neither is one that claims another key.
func TestDamaged(t *testing.T) {
	a, b := someKey(t, 'a'), someKey(t, 'b')
	keys := Keys{a, b}
	text := a.Encrypt([]byte("https://hooks.example.org/T0/B0/x"), "routes/team")
	var changed []string
	for i := range len(text) {
		for _, c := range []byte{'A', '-', '\n', ' ', '=', ':', text[i] ^ 1, text[i] ^ 0x20} {
			if c != text[i] {
				changed = append(changed, text[:i]+string(rune(c))+text[i+1:], text[:i]+string(rune(c))+text[i:])
			}
		}
		changed = append(changed, text[:i], text[:i]+text[i+1:])
	}
	changed = append(changed, text+"A", text+"\n", strings.Replace(text, a.ID(), b.ID(), 1), "", "aes256gcm", "aes256gcm::", "whsec_abc")
	for _, one := range changed {
		plain, err := keys.Decrypt(one, "routes/team")
		var missing *MissingKeyError
		if err == nil || !errors.Is(err, ErrDamaged) && !errors.As(err, &missing) {
			t.Errorf("%q: got %q, %v", one, plain, err)
		}
	}
}

func FuzzDecrypt(f *testing.F) {
	a := someKey(f, 'a')
	f.Add(a.Encrypt([]byte("x"), "routes/team"))
	f.Add("aes256gcm:" + a.ID() + ":")
	f.Add("aes256gcm:zz:AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if plain, err := (Keys{a}).Decrypt(text, "routes/other"); err == nil {
			t.Errorf("%q was decrypted to %q", text, plain)
		}
	})
}

func TestParse(t *testing.T) {
	a := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", keyBytes)))
	b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("b", keyBytes)))
	for text, want := range map[string]int{
		a: 1, a + "\n": 1, "# comment\r\n\r\n " + a + " \r\n" + b + "\n": 2, a + "\n" + a: 1,
	} {
		keys, err := parse(text)
		if err != nil || len(keys) != want || keys[0].ID() != someKey(t, 'a').ID() {
			t.Errorf("%q: %d keys, %v", text, len(keys), err)
		}
	}
	for _, text := range []string{
		"", "\n", "# only a comment\n", "secret", a[:40], a + a, a + "\nrubbish", "\x00" + a, a[:len(a)-1],
		base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", 31))), base64.StdEncoding.EncodeToString([]byte(strings.Repeat("a", 33))),
	} {
		keys, err := parse(text)
		if err == nil {
			t.Errorf("%q: %d keys", text, len(keys))
		} else if len(text) > 20 && strings.Contains(err.Error(), text[:20]) {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}
