/* The process that holds a Pod's namespaces: it sleeps, reaps what is left to it and ends when it
 * is told to. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void Stop(int signal_number) {
  (void)signal_number;
  _exit(0);
}

static void Reap(int signal_number) {
  (void)signal_number;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

int main(void) {
  struct sigaction stop = {.sa_handler = Stop};
  struct sigaction reap = {.sa_handler = Reap, .sa_flags = SA_NOCLDSTOP};
  if (sigaction(SIGINT, &stop, 0) != 0 || sigaction(SIGTERM, &stop, 0) != 0 ||
      sigaction(SIGCHLD, &reap, 0) != 0) {
    return 1;
  }
  for (;;) pause();
}
