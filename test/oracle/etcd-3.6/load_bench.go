package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// benchConnections share the writes: one HTTP/2 connection alone would be the bottleneck.
const benchConnections = 4

// benchKinds are weighted by repetition, roughly as a busy cluster's registry is filled.
var benchKinds = []struct{ path, kind string }{
	{"pods", "Pod"}, {"pods", "Pod"}, {"pods", "Pod"},
	{"events", "Event"}, {"events", "Event"}, {"events", "Event"}, {"events", "Event"},
	{"configmaps", "ConfigMap"}, {"secrets", "Secret"}, {"replicasets", "ReplicaSet"},
	{"endpointslices", "EndpointSlice"}, {"leases", "Lease"}, {"services/specs", "Service"},
}

// writeBench fills the server with Kubernetes-like keys. Each of the parallel writers owns a
// share of the keys and first creates them all, then rewrites them at random; every twentieth
// of those later writes deletes instead. So each key's own history depends on the seed alone,
// while the order between keys of different writers does not repeat.
func writeBench(ctx context.Context, options loadOptions, report *loadReport) error {
	if options.keys < 1 || options.parallel < 1 || options.revisions < options.keys ||
		options.valueMin < 0 || options.valueMax < options.valueMin {
		return fmt.Errorf("sizes make no sense: %d revisions, %d keys, %d parallel, values %d..%d",
			options.revisions, options.keys, options.parallel, options.valueMin, options.valueMax)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var clients []*clientv3.Client
	for range benchConnections {
		client, err := dial(options)
		if err != nil {
			return err
		}
		defer client.Close()
		clients = append(clients, client)
	}

	var puts, deletes, valueBytes, revision atomic.Int64
	var writers sync.WaitGroup
	for number := range min(options.parallel, options.keys) {
		writer := newBenchWriter(options, number, clients[number%len(clients)])
		writers.Go(func() {
			for writer.left > 0 && ctx.Err() == nil {
				if err := writer.step(ctx, &puts, &deletes, &valueBytes, &revision); err != nil {
					cancel(err)
				}
			}
		})
	}
	writers.Wait()
	report.Puts, report.Deletes = int(puts.Load()), int(deletes.Load())
	report.ValueBytes, report.Revision = valueBytes.Load(), revision.Load()
	return context.Cause(ctx)
}

// benchWriter is one of the parallel writers with its own share of keys and of writes.
type benchWriter struct {
	client  *clientv3.Client
	options loadOptions
	random  *rand.Rand
	keys    []string
	deleted []bool
	created int
	left    int
}

func newBenchWriter(options loadOptions, number int, client *clientv3.Client) *benchWriter {
	writerCount := min(options.parallel, options.keys)
	writer := &benchWriter{client: client, options: options, random: rand.New(rand.NewPCG(options.seed, uint64(number)))}
	for index := number; index < options.keys; index += writerCount {
		writer.keys = append(writer.keys, benchKey(index))
	}
	writer.deleted = make([]bool, len(writer.keys))
	for write := number; write < options.revisions; write += writerCount {
		writer.left++
	}
	return writer
}

// step does one write that is sure to make one revision.
func (w *benchWriter) step(ctx context.Context, puts, deletes, valueBytes, revision *atomic.Int64) error {
	w.left--
	own := w.created
	if own < len(w.keys) {
		w.created++
	} else {
		own = w.random.IntN(len(w.keys))
		if !w.deleted[own] && w.random.IntN(20) == 0 {
			w.deleted[own] = true
			response, err := w.client.Delete(ctx, w.keys[own])
			if err != nil {
				return err
			}
			deletes.Add(1)
			raise(revision, response.Header.Revision)
			return nil
		}
	}
	w.deleted[own] = false
	value := benchValue(w.random, w.keys[own], w.options.valueMin, w.options.valueMax)
	response, err := w.client.Put(ctx, w.keys[own], value)
	if err != nil {
		return err
	}
	puts.Add(1)
	valueBytes.Add(int64(len(value)))
	raise(revision, response.Header.Revision)
	return nil
}

func raise(highest *atomic.Int64, value int64) {
	for current := highest.Load(); value > current; current = highest.Load() {
		if highest.CompareAndSwap(current, value) {
			return
		}
	}
}

// benchKey names the object with this number: /registry/<kind>/<namespace>/<name>.
func benchKey(index int) string {
	kind := benchKinds[index%len(benchKinds)]
	return fmt.Sprintf("/registry/%s/team-%02d/%s-%08x", kind.path, index*7%64, benchNames[index%len(benchNames)], uint32(index)*2654435761)
}

var benchNames = []string{"checkout-api", "ingest-worker", "web", "billing-batch-runner", "search-index", "metrics-collector", "auth"}

// benchValue is a JSON object of a random size between the bounds (never below its frame):
// half of its filling is repeated words and half random digits, so it shrinks about as real objects do.
func benchValue(random *rand.Rand, key string, sizeMin, sizeMax int) string {
	size := sizeMin + random.IntN(sizeMax-sizeMin+1)
	value := fmt.Appendf(nil, `{"apiVersion":"v1","metadata":{"uid":"%016x","key":%q},"data":"`, random.Uint64(), key)
	frameSize := len(value)
	var digits [16]byte
	for len(value) < size-2 {
		if random.IntN(2) == 0 {
			value = append(value, "app.kubernetes.io/managed-by:"...)
			continue
		}
		for at := range digits {
			digits[at] = byte(random.Uint32())
		}
		value = hex.AppendEncode(value, digits[:])
	}
	value = value[:max(frameSize, size-2)]
	return string(append(value, `"}`...))
}
