package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// authWatch is a watch stream whose answers are collected until the server says that it is up to date.
type authWatch struct {
	r        *authRun
	stream   pb.Watch_WatchClient
	answers  chan *pb.WatchResponse
	failure  chan error
	eventMax int64
}

func (r *authRun) openWatch(ctx context.Context) (*authWatch, error) {
	stream, err := r.watch.Watch(ctx)
	if err != nil {
		return nil, err
	}
	watch := &authWatch{r: r, stream: stream, answers: make(chan *pb.WatchResponse, 64), failure: make(chan error, 1)}
	go func() {
		for {
			answer, err := stream.Recv()
			if err != nil {
				watch.failure <- err
				return
			}
			select {
			case watch.answers <- answer:
			case <-ctx.Done():
				return
			}
		}
	}()
	return watch, nil
}

func (w *authWatch) next() (*pb.WatchResponse, error) {
	select {
	case answer := <-w.answers:
		return answer, nil
	default:
	}
	select {
	case answer := <-w.answers:
		return answer, nil
	case err := <-w.failure:
		return nil, err
	case <-time.After(authCallLimit):
		return nil, errors.New("the stream says nothing")
	}
}

// create asks for a watch and gives the answer to that.
func (w *authWatch) create(request *pb.WatchCreateRequest) (text string, isMade bool, err error) {
	if err := w.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{CreateRequest: request}}); err != nil {
		return "", false, err
	}
	answer, err := w.next()
	for err == nil && isProgress(answer) { // asked for once too often
		answer, err = w.next()
	}
	if err != nil {
		return "", false, err
	}
	if answer.Canceled {
		return fmt.Sprintf("CANCELLED: %s (id %d, created %v)", answer.CancelReason, answer.WatchId, answer.Created), false, nil
	}
	return fmt.Sprintf("id %d, created %v", answer.WatchId, answer.Created), answer.Created, nil
}

func isProgress(answer *pb.WatchResponse) bool {
	return answer.WatchId == -1 && len(answer.Events) == 0 && !answer.Created && !answer.Canceled
}

// events are all there are until the server is up to date, or until the first behind eventMax.
func (w *authWatch) events() (string, error) {
	seen := authEvents{}
	ask := func() error {
		return w.stream.Send(&pb.WatchRequest{RequestUnion: &pb.WatchRequest_ProgressRequest{ProgressRequest: &pb.WatchProgressRequest{}}})
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(authCallLimit)
	if err := ask(); err != nil {
		return "", err
	}
	for {
		select {
		case answer := <-w.answers:
			for _, event := range answer.Events {
				if w.eventMax > 0 && event.Kv.ModRevision > w.eventMax {
					return seen.text(), nil
				}
				seen.add(answer.WatchId, event)
			}
			if answer.Canceled {
				return fmt.Sprintf("%s, then CANCELLED: %s", seen.text(), answer.CancelReason), nil
			}
			// One that was asked for earlier may tell of less than was written since.
			if isProgress(answer) && answer.Header.Revision >= w.r.touched {
				return seen.text(), nil
			}
		case err := <-w.failure:
			return "", err
		case <-ticker.C:
			// A watch that has not caught up keeps the server from answering.
			if err := ask(); err != nil {
				return "", err
			}
		case <-deadline:
			return "", errors.New("the stream says nothing")
		}
	}
}

// authEvents are texts by watch: between the watches of one stream there is no order.
type authEvents map[int64][]string

func (e authEvents) add(id int64, event *mvccpb.Event) {
	text := fmt.Sprintf("%s %s", strings.ToLower(event.Type.String()), authText(string(event.Kv.Key)))
	if event.PrevKv != nil {
		text += " over " + authText(string(event.PrevKv.Value))
	}
	e[id] = append(e[id], text)
}

func (e authEvents) text() string {
	var texts []string
	for _, id := range slices.Sorted(maps.Keys(e)) {
		texts = append(texts, fmt.Sprintf("%d: %s", id, strings.Join(e[id], " ")))
	}
	return "[" + strings.Join(texts, "; ") + "]"
}

// touch writes what keys have anyway: an event for each, and nothing to put right.
func (r *authRun) touch(keys ...string) error {
	return r.asRoot("touch", func(ctx context.Context) error {
		var puts []*pb.RequestOp
		for _, key := range keys {
			puts = append(puts, opPutLease(key, authKeys[key].value, authKeys[key].lease))
		}
		answer, err := r.kv.Txn(ctx, &pb.TxnRequest{Success: puts})
		if err == nil {
			r.touched = answer.Header.Revision
		}
		return err
	})
}

func watchCell(name string, requests ...*pb.WatchCreateRequest) authCell {
	return authCell{name: "watch " + name, isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		watch, err := r.openWatch(ctx)
		if err != nil {
			return "", err
		}
		var texts []string
		isAny, isPast := false, false
		for _, request := range requests {
			text, isMade, err := watch.create(request)
			if err != nil {
				return "", err
			}
			texts = append(texts, text)
			isAny, isPast = isAny || isMade, isPast || request.StartRevision > 0
		}
		if isAny {
			if isPast {
				watch.eventMax = r.base
			} else if err := r.touch("j", "k/a", "k/b", "k/e", "x/1", "z"); err != nil {
				return "", err
			}
			text, err := watch.events()
			if err != nil {
				return "", err
			}
			texts = append(texts, text)
		}
		return strings.Join(texts, ", "), nil
	}}
}

func watchOf(key, end string) *pb.WatchCreateRequest {
	return &pb.WatchCreateRequest{Key: []byte(key), RangeEnd: []byte(end)}
}

func watchCells() (cells []authCell) {
	for _, key := range []string{"k/a", "k/b", "k/c", "k/none", "k0", "x/1", "\x00"} {
		cells = append(cells, watchCell(authText(key), watchOf(key, "")))
	}
	for _, each := range authRanges {
		cells = append(cells, watchCell(each.name(), watchOf(each.key, each.end)))
	}
	with := func(name, key, end string, change func(request *pb.WatchCreateRequest)) {
		request := watchOf(key, end)
		change(request)
		cells = append(cells, watchCell(name, request))
	}
	since := func(revision int64) func(*pb.WatchCreateRequest) {
		return func(request *pb.WatchCreateRequest) { request.StartRevision = revision }
	}
	with("k/b since the past", "k/b", "", since(4))
	with("x/1 since the past", "x/1", "", since(4))
	with("k/ since the past", "k/", "k0", since(4))
	with("from k/a since the past", "k/a", "\x00", since(4))
	with("everything since the past", "\x00", "\x00", since(4))
	with("k/b since what is compacted", "k/b", "", since(1))
	with("x/1 since what is compacted", "x/1", "", since(1))
	with("x/1 since before there was anything", "x/1", "", since(-1))
	with("k/b with progress", "k/b", "", func(request *pb.WatchCreateRequest) { request.ProgressNotify = true })
	with("k/b with what was before", "k/b", "", func(request *pb.WatchCreateRequest) { request.PrevKv = true })
	with("k/ without puts", "k/", "k0", func(request *pb.WatchCreateRequest) {
		request.Filters = []pb.WatchCreateRequest_FilterType{pb.WatchCreateRequest_NOPUT}
	})
	with("x/1 under an own id", "x/1", "", func(request *pb.WatchCreateRequest) { request.WatchId = 77 })
	with("no key", "", "", func(*pb.WatchCreateRequest) {})
	with("from no key", "", "\x00", func(*pb.WatchCreateRequest) {})
	return append(cells, watchCell("k/b, then x/1, then k/ on one stream", watchOf("k/b", ""), watchOf("x/1", ""), watchOf("k/", "k0")))
}
