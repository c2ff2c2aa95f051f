// Package store keeps the local engine's state: one file, tables of JSON
// values, one transaction per change.
//
//	db, err := store.Open(filepath.Join(dir, "state.db"))
//	builds, err := store.NewTable[types.Build](db, "builds")
//	err = builds.Put(id, build)
//	entries, err := builds.List("flexbuild:")
//
// The file is bbolt's. It is written without fsync: every committed change
// survives the death of the process, SIGKILL included, because the kernel has
// the pages by then. A power cut may lose the last changes, which is fair for
// an engine whose builds die with the machine anyway.
package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long Open waits for another process's lock on the file.
const lockTimeout = time.Second

// ErrInUse is returned by Open if another process has the file open.
var ErrInUse = errors.New("the state file is in use by another process")

// A Store is an open state file. It is safe for concurrent use.
type Store struct{ db *bbolt.DB }

// Open opens the file at path, or creates it with mode 0600. It returns
// ErrInUse if another process holds the file for more than a second.
func Open(path string) (*Store, error) {
	err := check(path)
	var db *bbolt.DB
	if err == nil {
		db, err = openFile(path, &bbolt.Options{Timeout: lockTimeout, NoSync: true, NoFreelistSync: true})
	}
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%w: %s", ErrInUse, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open state file %s: %w", path, err)
	}
	return &Store{db: db}, nil
}

// openFile opens a file with bbolt, and turns its panics about a damaged file
// into errors.
func openFile(path string, options *bbolt.Options) (db *bbolt.DB, err error) {
	err = guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, options)
		return err
	})
	return db, err
}

// check reads all of an existing state file. So damage is found before anything
// is changed. Later it would be a panic in some goroutine.
func check(path string) error {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	db, err := openFile(path, &bbolt.Options{Timeout: lockTimeout, ReadOnly: true})
	if err != nil {
		return err
	}
	defer db.Close()
	return guard(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(_ []byte, table *bbolt.Bucket) error {
				return table.ForEach(func(key, value []byte) error {
					if value == nil || !json.Valid(value) {
						return fmt.Errorf("%w: the value of %q is not JSON", errDamaged, key)
					}
					return nil
				})
			})
		})
	})
}

var errDamaged = errors.New("it is damaged, and cannot be used: move it away to start over")

// guard turns a panic, and a fault of memory that a file is mapped to, into an
// error.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%w: %v", errDamaged, problem)
		}
	}()
	return do()
}

// Close waits for running transactions and releases the file.
func (s *Store) Close() error { return s.db.Close() }

// A Table is a named collection of values of one type, ordered by key. Two
// tables of one name share their content.
type Table[T any] struct {
	store *Store
	name  []byte
}

// An Entry is one key of a table with its value.
type Entry[T any] struct {
	Key   string
	Value T
}

// NewTable returns the table called name, which starts empty.
func NewTable[T any](s *Store, name string) (*Table[T], error) {
	create := func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte(name))
		return err
	}
	if err := s.db.Update(create); err != nil {
		return nil, fmt.Errorf("create table %s: %w", name, err)
	}
	return &Table[T]{store: s, name: []byte(name)}, nil
}

// OpenTable sets *table to the table called name, for services that open
// several tables.
func OpenTable[T any](s *Store, name string, table **Table[T]) (err error) {
	*table, err = NewTable[T](s, name)
	return err
}

// Get returns the value of key, and whether there is one.
func (t *Table[T]) Get(key string) (value T, found bool, err error) {
	err = t.store.db.View(func(tx *bbolt.Tx) error {
		value, found, err = t.get(tx, key)
		return err
	})
	return value, found, err
}

// Put sets the value of key.
func (t *Table[T]) Put(key string, value T) error {
	return t.store.db.Update(func(tx *bbolt.Tx) error { return t.put(tx, key, value) })
}

// Delete removes key. Removing a missing key is not an error.
func (t *Table[T]) Delete(key string) error {
	return t.store.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(t.name).Delete([]byte(key)) })
}

// Update replaces the value of key by the result of change in one transaction,
// in which nobody else writes. If change returns an error, Update writes
// nothing, and returns that error and the old value. change must not use the
// store.
func (t *Table[T]) Update(key string, change func(value T, found bool) (T, error)) (T, error) {
	var result T
	err := t.store.db.Update(func(tx *bbolt.Tx) error {
		old, found, err := t.get(tx, key)
		if err != nil {
			return err
		}
		result = old
		next, err := change(old, found)
		if err != nil {
			return err
		}
		result = next
		return t.put(tx, key, next)
	})
	return result, err
}

// List returns the entries whose key starts with prefix, ordered by key.
func (t *Table[T]) List(prefix string) ([]Entry[T], error) {
	var entries []Entry[T]
	err := t.Walk(prefix, prefix, func(e Entry[T]) bool {
		entries = append(entries, e)
		return true
	})
	return entries, err
}

// PutAll sets many entries in one transaction.
func (t *Table[T]) PutAll(entries []Entry[T]) error {
	return t.store.db.Update(func(tx *bbolt.Tx) error {
		for _, e := range entries {
			if err := t.put(tx, e.Key, e.Value); err != nil {
				return err
			}
		}
		return nil
	})
}

// DeletePrefix removes all keys that start with prefix.
func (t *Table[T]) DeletePrefix(prefix string) error {
	return t.store.db.Update(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(t.name).Cursor()
		for key, _ := cursor.Seek([]byte(prefix)); key != nil && bytes.HasPrefix(key, []byte(prefix)); key, _ = cursor.Seek([]byte(prefix)) {
			if err := cursor.Delete(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Walk calls visit with the entries under prefix in ascending order, from the
// key from (included) on, until visit returns false. visit must not use the
// store.
func (t *Table[T]) Walk(prefix, from string, visit func(Entry[T]) bool) error {
	return t.walk(prefix, visit, func(c *bbolt.Cursor) ([]byte, []byte) { return c.Seek([]byte(from)) }, (*bbolt.Cursor).Next)
}

// WalkBack calls visit with the entries under prefix in descending order, from
// the last one before the key before, until visit returns false. visit must not
// use the store.
func (t *Table[T]) WalkBack(prefix, before string, visit func(Entry[T]) bool) error {
	last := func(c *bbolt.Cursor) ([]byte, []byte) {
		if key, _ := c.Seek([]byte(before)); key == nil {
			return c.Last()
		}
		return c.Prev()
	}
	return t.walk(prefix, visit, last, (*bbolt.Cursor).Prev)
}

func (t *Table[T]) walk(prefix string, visit func(Entry[T]) bool, first, next func(*bbolt.Cursor) ([]byte, []byte)) error {
	return t.store.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(t.name).Cursor()
		for key, data := first(cursor); key != nil && bytes.HasPrefix(key, []byte(prefix)); key, data = next(cursor) {
			value, err := t.decode(string(key), data)
			if err != nil {
				return err
			}
			if !visit(Entry[T]{Key: string(key), Value: value}) {
				return nil
			}
		}
		return nil
	})
}

// NextSequence returns a number that the table has not returned before,
// starting at 1.
func (t *Table[T]) NextSequence() (n uint64, err error) {
	err = t.store.db.Update(func(tx *bbolt.Tx) error {
		n, err = tx.Bucket(t.name).NextSequence()
		return err
	})
	return n, err
}

func (t *Table[T]) get(tx *bbolt.Tx, key string) (value T, found bool, err error) {
	data := tx.Bucket(t.name).Get([]byte(key))
	if data == nil {
		return value, false, nil
	}
	value, err = t.decode(key, data)
	return value, err == nil, err
}

func (t *Table[T]) put(tx *bbolt.Tx, key string, value T) error {
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", t.name, key, err)
	}
	return tx.Bucket(t.name).Put([]byte(key), data)
}

func (t *Table[T]) decode(key string, data []byte) (value T, err error) {
	if err := json.Unmarshal(data, &value); err != nil {
		return value, fmt.Errorf("decode %s %q from the state file: %w", t.name, key, err)
	}
	return value, nil
}
