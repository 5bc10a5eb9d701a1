#!/usr/bin/env bash
# mount_exercise_kills.sh [OPERATIONS] - mount_exercise.sh with its daemon killed.
PARTS=kills exec bash "$(dirname "$0")/mount_exercise.sh" "$@"
