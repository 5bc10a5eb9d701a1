/* page.h - the page that is served at /: fs/page.html, made into a string when it is built.
 */
#ifndef BCFS_PAGE_H
#define BCFS_PAGE_H

extern const char bcfs_page[];

#endif
