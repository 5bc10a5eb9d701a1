#!/usr/bin/env bash
# mount_exercise_tight.sh [OPERATIONS] - mount_exercise.sh with segments that are always full, and merged.
PARTS=tight exec bash "$(dirname "$0")/mount_exercise.sh" "$@"
