package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

func maintenanceCells() []authCell {
	cells := []authCell{
		{name: "status", isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.maintenance.Status(ctx, &pb.StatusRequest{})
			return fmt.Sprintf("leader %v, errors %v", answer.GetLeader() == r.own.ID, answer.GetErrors()), err
		}},
		{name: "hash", isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.maintenance.Hash(ctx, &pb.HashRequest{})
			return fmt.Sprintf("some %v", answer.GetHash() != 0), err
		}},
		{name: "defragment", call: func(r *authRun, ctx context.Context) (string, error) {
			_, err := r.maintenance.Defragment(ctx, &pb.DefragmentRequest{})
			return "", err
		}},
		{name: "snapshot", isRead: true, call: snapshotSize},
	}
	for _, revision := range []int64{0, 5, 1_000_000} {
		cells = append(cells, authCell{name: fmt.Sprintf("hash of keys at %d", revision), isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.maintenance.HashKV(ctx, &pb.HashKVRequest{Revision: revision})
			if revision == 0 {
				return fmt.Sprintf("some %v", answer.GetHash() != 0), err
			}
			return fmt.Sprintf("%d", answer.GetHash()), err
		}})
	}
	for _, target := range []uint64{0, 12345} {
		cells = append(cells, authCell{name: fmt.Sprintf("move the leader to %d", target), call: func(r *authRun, ctx context.Context) (string, error) {
			_, err := r.maintenance.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: target})
			return "", err
		}})
	}
	for _, version := range []string{"", "1.0", "nonsense"} {
		cells = append(cells, authCell{name: "validate a downgrade to " + version, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.maintenance.Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_VALIDATE, Version: version})
			return answer.GetVersion(), err
		}})
	}
	cells = append(cells, authCell{name: "downgrade to 1.0", call: func(r *authRun, ctx context.Context) (string, error) {
		answer, err := r.maintenance.Downgrade(ctx, &pb.DowngradeRequest{Action: pb.DowngradeRequest_ENABLE, Version: "1.0"})
		return answer.GetVersion(), err
	}})
	return append(cells, alarmCells()...)
}

func snapshotSize(r *authRun, ctx context.Context) (string, error) {
	stream, err := r.maintenance.Snapshot(ctx, &pb.SnapshotRequest{})
	if err != nil {
		return "", err
	}
	size := 0
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return fmt.Sprintf("some %v", size > 4096), nil
		}
		if err != nil {
			return "", err
		}
		size += len(part.Blob)
	}
}

func alarmCells() (cells []authCell) {
	actions := []struct {
		name string
		ask  pb.AlarmRequest
	}{
		{"list alarms", pb.AlarmRequest{}},
		{"list alarms of one kind", pb.AlarmRequest{Alarm: pb.AlarmType_NOSPACE}},
		{"lower an alarm", pb.AlarmRequest{Action: pb.AlarmRequest_DEACTIVATE, Alarm: pb.AlarmType_NOSPACE}},
		{"raise no alarm", pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, Alarm: pb.AlarmType_NONE}},
	}
	alarm := func(ctx context.Context, r *authRun, request pb.AlarmRequest) (string, error) {
		answer, err := r.maintenance.Alarm(ctx, &request)
		return fmt.Sprint(answer.GetAlarms()), err
	}
	for _, each := range actions {
		cells = append(cells, authCell{name: each.name, call: func(r *authRun, ctx context.Context) (string, error) { return alarm(ctx, r, each.ask) }})
	}
	raise := pb.AlarmRequest{Action: pb.AlarmRequest_ACTIVATE, MemberID: 99, Alarm: pb.AlarmType_NOSPACE}
	return append(cells, authCell{name: "raise an alarm", call: func(r *authRun, ctx context.Context) (string, error) {
		text, err := alarm(ctx, r, raise)
		if err != nil {
			return "", err
		}
		lower := raise
		lower.Action = pb.AlarmRequest_DEACTIVATE
		_, err = alarm(ctx, r, lower)
		return text, err
	}})
}

func clusterCells() (cells []authCell) {
	membersText := func(all []*pb.Member) string {
		var names []string
		for _, each := range all {
			names = append(names, fmt.Sprintf("%s %v", each.Name, each.PeerURLs))
		}
		return "[" + strings.Join(names, ", ") + "]"
	}
	for _, isLinearizable := range []bool{true, false} {
		cells = append(cells, authCell{name: fmt.Sprintf("list members, linearizable %v", isLinearizable), isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
			answer, err := r.cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: isLinearizable})
			return membersText(answer.GetMembers()), err
		}})
	}
	for _, isLearner := range []bool{true, false} {
		for _, url := range []string{"what is no URL", "the own URL"} {
			cells = append(cells, authCell{name: fmt.Sprintf("add a member at %s, learner %v", url, isLearner), isRead: true, call: func(r *authRun, ctx context.Context) (string, error) {
				urls := []string{url}
				if url == "the own URL" {
					urls = r.own.PeerURLs
				}
				answer, err := r.cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: urls, IsLearner: isLearner})
				return membersText(answer.GetMembers()), err
			}})
		}
	}
	for _, isOwn := range []bool{true, false} {
		id := func(r *authRun) uint64 {
			if isOwn {
				return r.own.ID
			}
			return 12345
		}
		cells = append(cells,
			authCell{name: fmt.Sprintf("update a member, own %v", isOwn), call: func(r *authRun, ctx context.Context) (string, error) {
				answer, err := r.cluster.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: id(r), PeerURLs: r.own.PeerURLs})
				return membersText(answer.GetMembers()), err
			}},
			authCell{name: fmt.Sprintf("promote a member, own %v", isOwn), call: func(r *authRun, ctx context.Context) (string, error) {
				answer, err := r.cluster.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: id(r)})
				return membersText(answer.GetMembers()), err
			}},
		)
	}
	return append(cells, authCell{name: "remove a member", call: func(r *authRun, ctx context.Context) (string, error) {
		answer, err := r.cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: 12345})
		return membersText(answer.GetMembers()), err
	}})
}
