"""Backups: one encrypted file that holds the database and the files of the data folder.

``container`` encrypts and decrypts the file in authenticated chunks, ``manifest`` says what the
database held (versions, counts, a hash of every table), ``make`` writes a backup, ``restore``
brings one back into an empty place and compares every table, ``retention`` decides what is kept,
``storage`` is the folder and the optional S3-compatible bucket, ``runs`` records what was done.

A backup counts only once it was restored: ``verify_backup`` restores it into a scratch server and
runs the checks of the books there.
"""
