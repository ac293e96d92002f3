package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
)

// authCell is what somebody asks for: a column.
type authCell struct {
	name string
	// call gives a short text of the answer.
	call func(r *authRun, ctx context.Context) (string, error)
	// undo follows where users or roles were changed, as root.
	undo func(r *authRun, ctx context.Context) error
	// notForRoot is what could not be undone.
	notForRoot bool
	// isRead need not be looked after.
	isRead bool
}

func authCells() []authCell {
	return slices.Concat(rangeCells(), putCells(), deleteCells(), txnCells(), leaseCells(), watchCells(),
		maintenanceCells(), clusterCells(), contestCells(), userCells(), roleCells())
}

// runAuthCells makes every row: a line for each person and request, with what it has changed.
func runAuthCells(r *authRun) error {
	if err := r.learnMember(); err != nil {
		return err
	}
	if err := r.setUpKeys(); err != nil {
		return err
	}
	if err := r.setUpPeople(); err != nil {
		return err
	}
	if err := r.enable(); err != nil {
		return err
	}
	cells := authCells()
	chosen := strings.Split(r.people, ",")
	for _, person := range authPeople() {
		if r.people != "" && !slices.Contains(chosen, person.name) {
			continue
		}
		r.row = person
		if err := r.prepareRow(); err != nil {
			return err
		}
		for _, cell := range cells {
			if cell.notForRoot && person.isRoot {
				continue
			}
			if err := r.runCell(cell); err != nil {
				return fmt.Errorf("%s | %s: %w", person.name, cell.name, err)
			}
		}
	}
	return r.sayEnd()
}

func (r *authRun) prepareRow() (err error) {
	if r.row.prepare != nil {
		r.token, err = r.row.prepare(r)
		return err
	}
	return r.logInRow()
}

func (r *authRun) logInRow() (err error) {
	r.token, err = r.logIn(r.row.name, passwordFor(r.row.name))
	return err
}

func (r *authRun) runCell(cell authCell) error {
	ctx, cancel := r.authContext(r.token)
	answer, err := cell.call(r, ctx)
	cancel()
	if err == nil && !strings.HasPrefix(answer, "CANCELLED") {
		answer = strings.TrimSpace("OK " + answer)
	}
	changes := ""
	if !cell.isRead {
		var failure error
		if changes, failure = r.settle(); failure != nil {
			return failure
		}
	}
	if err != nil {
		answer = authFault(err)
	}
	if changes != "" {
		answer += "; changed " + changes
	}
	r.say(r.row.name, cell.name, answer, nil)
	if cell.undo == nil || err != nil {
		return nil
	}
	if err := r.asRoot("undo", func(ctx context.Context) error { return cell.undo(r, ctx) }); err != nil {
		return err
	}
	// The change and its undoing made tokens stale.
	if err := r.logInRoot(); err != nil || r.row.prepare != nil {
		return err
	}
	return r.logInRow()
}

// sayEnd shows that both servers came to the same state by the same way.
func (r *authRun) sayEnd() error {
	return r.asRoot("the end", func(ctx context.Context) error {
		hash, err := r.maintenance.HashKV(ctx, &pb.HashKVRequest{})
		if err != nil {
			return err
		}
		r.say("everybody", "the end", fmt.Sprintf("revision %d, hash %d", hash.Header.Revision, hash.Hash), nil)
		return nil
	})
}

// keysText lists keys, with their values where these came along.
func keysText(all []*mvccpb.KeyValue) string {
	texts := make([]string, len(all))
	for at, each := range all {
		texts[at] = authText(string(each.Key))
		if len(each.Value) > 0 {
			texts[at] += "=" + authText(string(each.Value))
		}
		if each.Lease != 0 {
			texts[at] += leaseText(each.Lease)
		}
	}
	return "[" + strings.Join(texts, " ") + "]"
}

func rangeText(answer *pb.RangeResponse) string {
	text := fmt.Sprintf("%d %s", answer.GetCount(), keysText(answer.GetKvs()))
	if answer.GetMore() {
		text += " and more"
	}
	return text
}

func putText(answer *pb.PutResponse) string {
	if answer.GetPrevKv() == nil {
		return "put"
	}
	return "put over " + keysText([]*mvccpb.KeyValue{answer.PrevKv})
}

func deleteText(answer *pb.DeleteRangeResponse) string {
	return fmt.Sprintf("deleted %d %s", answer.GetDeleted(), keysText(answer.GetPrevKvs()))
}

func txnText(answer *pb.TxnResponse) string {
	texts := make([]string, len(answer.GetResponses()))
	for at, each := range answer.GetResponses() {
		switch {
		case each.GetResponseRange() != nil:
			texts[at] = rangeText(each.GetResponseRange())
		case each.GetResponsePut() != nil:
			texts[at] = putText(each.GetResponsePut())
		case each.GetResponseDeleteRange() != nil:
			texts[at] = deleteText(each.GetResponseDeleteRange())
		case each.GetResponseTxn() != nil:
			texts[at] = txnText(each.GetResponseTxn())
		}
	}
	return fmt.Sprintf("%v {%s}", answer.GetSucceeded(), strings.Join(texts, "; "))
}
