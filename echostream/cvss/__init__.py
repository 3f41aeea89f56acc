"""From CoVoST 2 and CVSS-C as downloaded to what training and evaluation read; see `cvss.prepare`."""
