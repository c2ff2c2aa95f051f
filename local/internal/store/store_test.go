package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type thing struct{ N int }

func open(t *testing.T) (*Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func table(t *testing.T, s *Store) *Table[thing] {
	t.Helper()
	things, err := NewTable[thing](s, "things")
	if err != nil {
		t.Fatal(err)
	}
	return things
}

func TestValuesSurviveReopening(t *testing.T) {
	s, path := open(t)
	if err := table(t, s).Put("a", thing{1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if v, found, err := table(t, again).Get("a"); err != nil || !found || v.N != 1 {
		t.Errorf("Get after reopening = %v, %v, %v", v, found, err)
	}
}

func TestListIsOrderedAndKeepsToItsPrefix(t *testing.T) {
	s, _ := open(t)
	things := table(t, s)
	for i, key := range []string{"p:2", "q:1", "p:1", "o"} {
		if err := things.Put(key, thing{i}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := things.List("p:")
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry[thing]{{"p:1", thing{2}}, {"p:2", thing{0}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUpdatesDoNotLoseEachOther(t *testing.T) {
	s, _ := open(t)
	things := table(t, s)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := things.Update("n", func(v thing, _ bool) (thing, error) { return thing{v.N + 1}, nil })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if v, _, _ := things.Get("n"); v.N != 50 {
		t.Errorf("after 50 increments: %d", v.N)
	}
}

func TestAFailedUpdateWritesNothing(t *testing.T) {
	s, _ := open(t)
	things := table(t, s)
	refused := errors.New("refused")
	_, err := things.Update("n", func(thing, bool) (thing, error) { return thing{9}, refused })
	if !errors.Is(err, refused) {
		t.Errorf("error = %v", err)
	}
	if _, found, _ := things.Get("n"); found {
		t.Error("the refused value was written")
	}
}

func TestTheSecondOpenOfAFileSaysWhy(t *testing.T) {
	_, path := open(t)
	_, err := Open(path)
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second Open: %v", err)
	}
}

func TestWalksGoBothWaysAndStayInsideTheirPrefix(t *testing.T) {
	s, _ := open(t)
	things := table(t, s)
	err := things.PutAll([]Entry[thing]{{"a1", thing{}}, {"b1", thing{}}, {"b2", thing{}}, {"b3", thing{}}, {"c1", thing{}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	collect := func(e Entry[thing]) bool { got = append(got, e.Key); return true }
	for _, walk := range []error{
		things.Walk("b", "b2", collect), things.WalkBack("b", "b3", collect), things.WalkBack("c", "c9", collect),
	} {
		if walk != nil {
			t.Fatal(walk)
		}
	}
	if diff := cmp.Diff([]string{"b2", "b3", "b2", "b1", "c1"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestDeletePrefixLeavesTheRest(t *testing.T) {
	s, _ := open(t)
	things := table(t, s)
	if err := things.PutAll([]Entry[thing]{{"a", thing{}}, {"b1", thing{}}, {"b2", thing{}}, {"c", thing{}}}); err != nil {
		t.Fatal(err)
	}
	if err := things.DeletePrefix("b"); err != nil {
		t.Fatal(err)
	}
	rest, _ := things.List("")
	if len(rest) != 2 {
		t.Errorf("left over: %v", rest)
	}
}

// TestADamagedFileIsAnErrorThatNamesIt damages a state file in many ways. Open
// finds it, or what is left can be used.
func TestADamagedFileIsAnErrorThatNamesIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	whole := filledFile(t, path)
	refused := 0
	for seed := range uint64(100) {
		if err := os.WriteFile(path, damaged(whole, seed), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err == nil {
			err = use(s)
			s.Close()
		}
		if err == nil {
			continue
		}
		refused++
		if !strings.Contains(err.Error(), path) {
			t.Errorf("seed %d: %v does not name the file", seed, err)
		}
	}
	if refused < 30 {
		t.Errorf("of 100 damaged files %d were refused: this test does not damage them enough", refused)
	}
}

// filledFile makes a state file of many pages and returns its bytes.
func filledFile(t *testing.T, path string) []byte {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "c"} {
		texts, err := NewTable[string](s, name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 60 {
			if err := texts.Put(fmt.Sprintf("key %d", i), strings.Repeat("x", i*i*3)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

// damaged returns a copy with a page of noise or zeros, a few wrong bytes, or
// the end cut off.
func damaged(whole []byte, seed uint64) []byte {
	random := rand.New(rand.NewPCG(seed, 1))
	data := slices.Clone(whole)
	at := random.IntN(len(data) - 4096)
	switch seed % 5 {
	case 0:
		return data[:at]
	case 1:
		clear(data[at : at+4096])
	case 2:
		for i := range 4096 {
			data[at+i] = byte(random.Uint32())
		}
	case 3:
		data[at] ^= 1 << random.IntN(8)
	case 4: // the head of a page, which says what it is
		for i := range 16 {
			data[at&^4095+i] = byte(random.Uint32())
		}
	}
	return data
}

// use reads and changes everything.
func use(s *Store) error {
	for _, name := range []string{"a", "b", "c"} {
		texts, err := NewTable[string](s, name)
		if err != nil {
			return err
		}
		entries, err := texts.List("")
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := texts.Put(e.Key, e.Value+"y"); err != nil {
				return err
			}
		}
	}
	return nil
}
