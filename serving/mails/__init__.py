"""Mails: what programs have sent by the API of SendGrid, over this home's mail server.

Belongs here: the endpoint and its shapes. Connecting to the mail server is in `serving.report.mail_server`.
"""
