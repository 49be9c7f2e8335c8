/* SPDX-License-Identifier: MIT */
/* Tells the service manager how the broker is, when there is one ($NOTIFY_SOCKET). */
#ifndef BROKER_SUPERVISOR_NOTIFY_H
#define BROKER_SUPERVISOR_NOTIFY_H

/* Without a service manager, nothing happens. A message that can't be sent is lost, with a line in the log. */
void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);
void notify_alive(void); /* keeps the watchdog quiet */

#endif
