package lazyregexp

import "testing"

func TestRegexpIsCompiledWhenItIsUsed(t *testing.T) {
	form := New(`^a{1,3}$`)
	for text, want := range map[string]bool{"aaa": true, "aaaa": false, "": false} {
		if got := form().MatchString(text); got != want {
			t.Errorf("a match of %q: %v, want %v", text, got, want)
		}
	}
	if got := form().String(); got != `^a{1,3}$` {
		t.Errorf("the text is %q", got)
	}
}

func TestWrongRegexpPanicsAtItsFirstMatch(t *testing.T) {
	wrong := New(`(`)
	defer func() {
		if recover() == nil {
			t.Error("a wrong regular expression matched")
		}
	}()
	wrong().MatchString("")
}
