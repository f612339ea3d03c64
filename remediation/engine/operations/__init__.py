"""Operations that users and scripts request: pause, retry, set outcome, edit, simulate."""
