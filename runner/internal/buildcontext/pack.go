package buildcontext

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// ContentError is an error about something in the directory that cannot be
// packed. The directory's owner has to change it.
type ContentError struct{ err error }

func (e *ContentError) Error() string { return e.err.Error() }
func (e *ContentError) Unwrap() error { return e.err }

// Digest reads all files and returns the SHA-256, in hex, of the tar that
// [Tree.WriteZip] would pack. While it reads, it calls progress with the number
// of bytes that have been added.
func (t *Tree) Digest(ctx context.Context, progress func(int)) (string, error) {
	sum := sha256.New()
	err := t.pack(ctx, tarOnly, func(p *part) error {
		sum.Write(p.tar.Bytes())
		progress(p.tar.Len())
		return nil
	})
	return hexOf(sum), err
}

// writeGzip writes the tar to w, compressed, and returns its SHA-256 before
// compression, in hex. The same tree gives the same bytes.
func (t *Tree) writeGzip(ctx context.Context, w io.Writer, progress func(int)) (string, error) {
	sum := sha256.New()
	err := t.pack(ctx, tarAndGzip, func(p *part) error {
		sum.Write(p.tar.Bytes())
		progress(p.tar.Len())
		_, err := w.Write(p.gzip.Bytes())
		return err
	})
	return hexOf(sum), err
}

func hexOf(sum hash.Hash) string { return hex.EncodeToString(sum.Sum(nil)) }

// part is a piece of the tar of about a megabyte: some entries, or a section of
// a large file. All cores make parts, and one goroutine joins them in order.
// The bounds of the parts depend on the tree alone, and each part is compressed
// separately, because a gzip file may have many members. So the same tree gives
// the same bytes on any number of cores.
type part struct {
	entries []entry  // whole entries; of a large file only the header
	section *section // a section of a large file's content
	last    bool     // whether this is the end of the tar

	tar     bytes.Buffer
	archive *tar.Writer // writes to tar
	gzip    bytes.Buffer
	err     error
	made    chan struct{} // gets a value when the part, or its error, is there
}

// format determines what is made of each part.
type format int

const (
	tarOnly format = iota
	tarAndGzip
)

const (
	partSize    = 1 << 20 // of the files in a part, in bytes, but for its last small one
	partEntries = 256     // at most, in a part
	maxPackers  = 16      // more cores would not be faster, and need their memory
)

// pack makes all parts and calls next with each of them, in order, from the
// caller's goroutine. It keeps two parts for each packer in memory, however
// large the tree is.
func (t *Tree) pack(ctx context.Context, f format, next func(*part) error) error {
	ctx, cancel := context.WithCancel(ctx)
	packers := min(runtime.GOMAXPROCS(0), maxPackers)
	line := &assembly{tree: t, ctx: ctx, todo: make(chan *part), ordered: make(chan *part, 2*packers), free: make(chan *part, 2*packers+2)}
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(line.plan)
	for range packers {
		running.Go(func() { line.make(f) })
	}
	if err := line.deliver(next); err != nil {
		return fmt.Errorf("build context %q: %w", t.context.path, err)
	}
	return nil
}

// assembly is one call of pack.
type assembly struct {
	tree    *Tree
	ctx     context.Context
	todo    chan *part // parts to be made
	ordered chan *part // the same parts, for delivery; closed after the last
	free    chan *part // parts that can be used again
}

// newPart returns an empty part.
func (a *assembly) newPart() *part {
	select {
	case p := <-a.free:
		p.entries, p.section, p.last, p.err = p.entries[:0], nil, false, nil
		p.tar.Reset()
		p.gzip.Reset()
		return p
	default:
		p := &part{made: make(chan struct{}, 1)}
		p.archive = tar.NewWriter(&p.tar)
		return p
	}
}

// plan divides the tree into parts.
func (a *assembly) plan() {
	defer close(a.ordered)
	defer close(a.todo)
	p, size := a.newPart(), int64(0)
	for _, e := range a.tree.entries {
		p.entries = append(p.entries, e)
		size += e.size()
		if !e.isLarge() && size < partSize && len(p.entries) < partEntries {
			continue
		}
		if !a.send(p) || e.isLarge() && !a.planSections(e) {
			return
		}
		p, size = a.newPart(), 0
	}
	end := a.newPart()
	end.last = true
	_ = a.send(p) && a.send(end)
}

// planSections divides the content of a large file. It returns false if no more
// parts are wanted.
func (a *assembly) planSections(e entry) bool {
	for offset := int64(0); offset < e.size(); offset += partSize {
		p := a.newPart()
		p.section = &section{e, offset, min(partSize, e.size()-offset)}
		if !a.send(p) {
			return false
		}
	}
	return true
}

// send sends a part to be made and delivered. It returns false if no more parts
// are wanted.
func (a *assembly) send(p *part) bool {
	for _, queue := range []chan *part{a.ordered, a.todo} {
		select {
		case queue <- p:
		case <-a.ctx.Done():
			return false
		}
	}
	return true
}

// make makes parts until there are no more.
func (a *assembly) make(f format) {
	compressor, _ := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	files := newReader(a.tree)
	defer files.close()
	for p := range a.todo {
		p.err = files.write(p)
		if p.err == nil && f == tarAndGzip {
			compressor.Reset(&p.gzip)
			_, err := compressor.Write(p.tar.Bytes())
			p.err = errors.Join(err, compressor.Close())
		}
		p.made <- struct{}{}
	}
}

// deliver calls next with the parts as soon as they are made.
func (a *assembly) deliver(next func(*part) error) error {
	for p := range a.ordered {
		select {
		case <-p.made:
		case <-a.ctx.Done():
			return a.ctx.Err()
		}
		if p.err != nil {
			return p.err
		}
		if err := next(p); err != nil {
			return err
		}
		select {
		case a.free <- p:
		default:
		}
	}
	return a.ctx.Err()
}
